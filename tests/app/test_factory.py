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


def test_head_and_options_work_on_every_route(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    for template, item in document["paths"].items():
        path = template.replace("{model_id}", "fast")
        assert client.options(path).status_code == 204, path
        if "get" in item:
            head, get = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert get.status_code == 200 or "{response_id}" in path, path
        elif path.endswith("/responses/input_tokens"):  # as a GET, the path of a stored response
            assert client.head(path).status_code == 404, path
        else:
            assert client.head(path).status_code == 405, path


def test_a_route_that_is_none_is_a_404_in_its_dialects_shape(client: httpx.Client) -> None:
    assert client.get("/api/none").json() == {"error": "Invalid URL (GET /api/none)"}
    assert client.get("/v1/messages/none").json()["type"] == "error"
    assert set(client.get("/v1/none").json()["error"]) == {"message", "type", "param", "code"}
