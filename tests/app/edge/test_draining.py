import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

MODEL = {"model": "slow", "prompt": "a", "max_tokens": 4000, "stream": True}
CHAT = {"model": "slow", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}


@pytest.fixture(scope="module")
def draining(start_server: Any, make_model: Any) -> Iterator[httpx.Client]:
    """A server that is told to stop while it answers one stream."""
    slow = make_model("slow", step_seconds=0.02)
    with (
        start_server(slow) as server,
        server.client() as client,
        server.client() as another,
        another.stream("POST", "/v1/completions", json=MODEL) as stream,
    ):
        next(stream.iter_lines())
        server.manager.drain.begin()
        yield client


def test_readiness_goes_at_once_and_says_why(draining: httpx.Client) -> None:
    for path in ("/readyz", "/health", "/readyz?model=slow"):
        response = draining.get(path)
        assert response.status_code == 503
        assert response.json()["status"] == "draining"
        assert response.headers["retry-after"] == "1"


def test_the_server_lives_and_has_started(draining: httpx.Client) -> None:
    assert draining.get("/livez").status_code == 200
    assert draining.get("/startupz").status_code == 200
    assert draining.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", MODEL),
        ("/v1/chat/completions", CHAT),
        ("/v1/models", {"model_name": "deepseek-coder"}),
        ("/tokenize", {"content": "a"}),
    ],
)
def test_new_work_is_refused_and_the_connection_closed(
    draining: httpx.Client, path: str, body: Any
) -> None:
    response = draining.post(path, json=body)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "server_draining"
    assert response.headers["retry-after"] == "1"
    assert response.headers["connection"] == "close"
    assert "x-should-retry" not in response.headers


def test_a_refusal_has_the_shape_of_its_dialect(draining: httpx.Client) -> None:
    ollama = draining.post("/api/generate", json={"model": "slow", "prompt": "a"})
    assert ollama.status_code == 503
    assert "being stopped" in json.loads(ollama.text)["error"]
    assert draining.post("/v1/messages", json=CHAT).json()["error"]["type"] == "overloaded_error"
