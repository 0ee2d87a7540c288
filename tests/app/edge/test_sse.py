from typing import Any

import httpx
import pytest


@pytest.fixture
def chat() -> dict[str, object]:
    messages = [{"role": "user", "content": "a"}]
    return {"model": "slow", "messages": messages, "stream": True, "max_tokens": 20}


def test_the_headers_keep_proxies_from_buffering(
    client: httpx.Client, chat: dict[str, object]
) -> None:
    with client.stream("POST", "/v1/chat/completions", json=chat) as response:
        response.read()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"]


def test_each_event_is_one_compact_line_in_plain_utf8(
    client: httpx.Client, chat: dict[str, object]
) -> None:
    events = client.post("/v1/chat/completions", json=chat).text.removesuffix("\n\n").split("\n\n")
    data = [event for event in events if not event.startswith(":")]
    assert all(event.startswith("data: ") and "\n" not in event for event in data)
    assert all('": ' not in event and '", ' not in event for event in data[:-1])
    assert any("ü" in event for event in data)
    assert data[-1] == "data: [DONE]"


def test_comments_keep_an_idle_stream_open(client: httpx.Client, chat: dict[str, object]) -> None:
    both_slots = {"model": "slow", "prompt": "a", "n": 2, "stream": True, "max_tokens": 40}
    with client.stream("POST", "/v1/completions", json=both_slots) as busy:
        text = client.post("/v1/chat/completions", json=chat).text
        busy.read()
    assert "\n\n: ping\n\n" in text


def test_no_comment_comes_between_events_that_flow(start_server: Any, make_model: Any) -> None:
    body = {"model": "steady", "prompt": "a", "stream": True, "max_tokens": 100}
    model = make_model("steady", step_seconds=0.02)
    with start_server(model, keepalive_seconds=1) as server, server.client() as client:
        assert ": ping" not in client.post("/v1/completions", json=body).text


def test_the_connection_is_the_http_servers_alone(
    client: httpx.Client, chat: dict[str, object]
) -> None:
    headers = {"connection": "close"}
    response = client.post("/v1/chat/completions", json=chat, headers=headers)
    assert response.headers.get_list("connection") == ["close"]
