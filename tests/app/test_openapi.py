import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest

from codeserve.app.factory import ADMIN

Operation = tuple[str, dict[str, Any]]


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    loaded: dict[str, Any] = client.get("/openapi.json").json()
    return loaded


@pytest.fixture
def operations(document: dict[str, Any]) -> list[Operation]:
    return list(each_operation(document))


def each_operation(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_names_the_installed_package(document: dict[str, Any]) -> None:
    info = document["info"]
    assert (info["title"], info["version"]) == ("codeserve", version("codeserve"))
    assert info["license"]["identifier"] == "Apache-2.0"


def test_every_operation_says_what_it_does(operations: list[Operation]) -> None:
    mute = [
        name
        for name, operation in operations
        if not operation.get("description") or operation.get("summary", "Handle") == "Handle"
    ]
    assert mute == []


def test_different_operations_have_different_summaries(operations: list[Operation]) -> None:
    """An alias has the summary and the description of the route that it stands for."""
    descriptions: dict[str, set[str]] = {}
    for _, operation in operations:
        descriptions.setdefault(operation["summary"], set()).add(operation["description"])
    assert {summary: texts for summary, texts in descriptions.items() if len(texts) > 1} == {}


def test_every_request_body_has_an_example(operations: list[Operation]) -> None:
    without = [
        name
        for name, operation in operations
        if "requestBody" in operation
        and not operation["requestBody"]["content"]["application/json"].get("examples")
    ]
    assert without == []


def test_the_examples_are_requests_that_the_server_reads(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    """Their models are not served here; anything else that is wrong would be a 400. A launch would
    be done: its examples are tested with it."""
    for path, item in document["paths"].items():
        if path == "/v1/models":
            continue
        body = item.get("post", {}).get("requestBody", {}).get("content", {})
        for example in body.get("application/json", {}).get("examples", {}).values():
            response = client.post(path, json=example["value"])
            assert response.status_code == 404, f"{path}: {response.text}"


def test_every_operation_documents_its_errors_as_json(operations: list[Operation]) -> None:
    for name, operation in operations:
        expected = {"500"}
        if "requestBody" in operation:
            expected |= {"400", "404", "413", "415", "429", "500", "504"}
        errors = {
            status: response
            for status, response in operation["responses"].items()
            if status >= "400"
        }
        assert expected <= set(errors), name
        assert "422" not in errors, name
        for response in errors.values():
            assert "$ref" in response["content"]["application/json"]["schema"], name


def test_errors_have_the_shape_of_their_dialect(operations: list[Operation]) -> None:
    for name, operation in operations:
        path = name.partition(" ")[2]
        schema = operation["responses"]["500"]["content"]["application/json"]["schema"]["$ref"]
        expected = (
            "OllamaErrorReply"
            if path.startswith("/api/")
            else "AnthropicErrorReply"
            if path.startswith("/v1/messages")
            else "AdminErrorReply"
            if path.startswith(ADMIN)
            else "ErrorReply"
        )
        assert schema == f"#/components/schemas/{expected}", name


def test_streams_are_documented(document: dict[str, Any]) -> None:
    for path in ("/v1/completions", "/v1/chat/completions", "/chat/completions"):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/event-stream"}


def test_no_reference_leads_nowhere(client: httpx.Client, document: dict[str, Any]) -> None:
    text = client.get("/openapi.json").text
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named <= set(document["components"]["schemas"])


def test_fields_of_several_forms_are_documented_as_clients_send_them(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    prompt = schemas["CompletionRequest"]["properties"]["prompt"]["anyOf"]
    assert [form["type"] for form in prompt] == ["string", "array", "array", "array"]
    content = schemas["Message"]["properties"]["content"]["anyOf"]
    assert [form["type"] for form in content] == ["string", "array", "null"]


def test_the_page_needs_no_other_server(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)['"]""", page.text)
    assert len(addresses) >= 4
    assert "//" not in "".join(addresses)
    for address in addresses:
        assert client.get(address).status_code == 200, address


def test_the_stylesheet_loads_nothing(client: httpx.Client) -> None:
    style = client.get("/docs/swagger-ui.css").text
    loaded = re.findall(r"url\(\s*['\"]?([^'\")]{0,40})|@import", style)
    assert all(address.startswith("data:") for address in loaded), loaded
