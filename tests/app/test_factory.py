from typing import Any

import httpx
import pytest


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    loaded: dict[str, Any] = client.get("/openapi.json").json()
    return loaded


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    assert {
        "/v1/completions",
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/models",
        "/v1/models/{model_id}",
        "/models",
        "/livez",
        "/readyz",
        "/health",
        "/v1/health",
    } <= set(document["paths"])


def test_fields_of_several_forms_are_documented_as_clients_send_them(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    prompt = schemas["CompletionRequest"]["properties"]["prompt"]["anyOf"]
    assert [form["type"] for form in prompt] == ["string", "array", "array", "array"]
    content = schemas["Message"]["properties"]["content"]["anyOf"]
    assert [form["type"] for form in content] == ["string", "array", "null"]


def test_errors_are_documented_in_openais_shape(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    for status in ("400", "404", "413", "429", "500", "503"):
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/ErrorReply")
    assert "text/event-stream" in responses["200"]["content"]
