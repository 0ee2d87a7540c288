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


LIKE_AN_ID = (
    "/v1/models/fast/",
    "/v1/engines/fast/",
    "/v1/responses/input_tokens",
    "/responses/input_tokens",
)
"""Paths of which GET takes a part for the id of something that there is not."""


def test_head_and_options_work_on_every_route(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    for template, item in document["paths"].items():
        path = template.replace("{model_id}", "fast")
        assert client.options(path).status_code == 204, path
        if "get" in item:
            head, get = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert get.status_code == 200 or "{" in path or _needs_query(item["get"]), path
        else:
            status = 404 if path.startswith(LIKE_AN_ID) else 405
            assert client.head(path).status_code == status, path


def _needs_query(operation: dict[str, Any]) -> bool:
    return any(one["required"] for one in operation.get("parameters", ()) if one["in"] == "query")


def test_a_route_that_is_none_is_a_404_in_its_dialects_shape(client: httpx.Client) -> None:
    assert client.get("/api/none").json() == {"error": "Invalid URL (GET /api/none)"}
    assert client.get("/v1/messages/none").json()["type"] == "error"
    assert set(client.get("/v1/none").json()["error"]) == {"message", "type", "param", "code"}
