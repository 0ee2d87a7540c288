from typing import Any

import httpx
import pytest

ORIGIN = {"origin": "https://example.org"}
PREFLIGHT = {
    **ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,x-stainless-os",
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/none"])
def test_a_preflight_needs_no_key_and_gets_what_it_asks_for(
    client: httpx.Client, path: str
) -> None:
    response = client.options(path, headers=PREFLIGHT)
    assert response.status_code == 200
    headers = response.headers
    assert headers["access-control-allow-origin"] == "https://example.org"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert {"GET", "POST", "DELETE"} <= set(headers["access-control-allow-methods"].split(", "))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/models", b"", 200),
        ("POST", "/v1/completions", b"{", 400),
        ("POST", "/v1/none", b"", 404),
        ("PUT", "/v1/completions", b"", 405),
        ("POST", "/v1/completions", b" " * 200_000, 413),
        ("POST", "/v1/completions", b'{"model":"broken","prompt":"a"}', 503),
    ],
)
def test_a_page_may_read_every_response_and_its_id(
    client: httpx.Client, method: str, path: str, body: bytes, status: int
) -> None:
    response = client.request(method, path, content=body, headers=ORIGIN)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "https://example.org"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "x-request-id" in response.headers["access-control-expose-headers"]


def test_other_origins_may_be_kept_out(start_server: Any, make_model: Any) -> None:
    ours_alone = start_server(make_model("a"), cors_origins=("https://ours.example",))
    with ours_alone as server, server.client() as client:
        ours = client.get("/v1/models", headers={"origin": "https://ours.example"})
        others = client.get("/v1/models", headers=ORIGIN)
        asked = client.options("/v1/models", headers=PREFLIGHT)
    assert ours.headers["access-control-allow-origin"] == "https://ours.example"
    assert "access-control-allow-origin" not in others.headers
    assert asked.status_code == 400


def test_a_page_may_read_a_stream(client: httpx.Client) -> None:
    body = {"model": "fast", "prompt": "a", "max_tokens": 2, "stream": True}
    response = client.post("/v1/completions", json=body, headers={**ORIGIN, "x-request-id": "mine"})
    assert response.text.endswith("data: [DONE]\n\n")
    assert response.headers["access-control-allow-origin"] == "https://example.org"
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["openai-processing-ms"].isdecimal()
