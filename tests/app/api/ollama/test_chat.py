import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/api/chat"
ASK = [{"role": "user", "content": "a"}]
CALLS = (
    '{"tool_calls":[{"name":"weather","arguments":{"city":"Köln"}},{"name":"time","arguments":{}}]}'
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    },
    {"type": "function", "function": {"name": "time"}},
]
CALLED = [
    {"function": {"name": "weather", "arguments": {"city": "Köln"}}},
    {"function": {"name": "time", "arguments": {}}},
]


@pytest.fixture
def calling(start_server: Any, make_model: Any) -> Iterator[httpx.Client]:
    """A client of a server whose model calls tools."""
    with start_server(make_model("caller", script=CALLS)) as server, server.client() as client:
        yield client


def chat(client: httpx.Client, **body: Any) -> dict[str, Any]:
    body = {"model": "fast", "messages": ASK, "stream": False, **body}
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def call(client: httpx.Client, *, tokens: int, **body: Any) -> httpx.Response:
    body = {"model": "caller", "messages": ASK, "tools": TOOLS, **body}
    return client.post(PATH, json={**body, "options": {"num_predict": tokens}})


def test_a_reply_has_ollamas_shape(client: httpx.Client) -> None:
    reply = chat(client, options={"stop": "aus"})
    assert reply["message"] == {"role": "assistant", "content": "Grüße "}
    assert (reply["model"], reply["done"], reply["done_reason"]) == ("fast", True, "stop")
    assert reply["eval_count"] == 11
    assert reply["created_at"].endswith("Z")


def test_a_stream_is_the_default(stream: Stream) -> None:
    *pieces, last = stream(PATH, {"model": "fast", "messages": ASK, "options": {"num_predict": 13}})
    assert "".join(piece["message"]["content"] for piece in pieces) == "Grüße aus K"
    for piece in pieces:
        assert set(piece) == {"model", "created_at", "message", "done"}
        assert piece["message"]["role"] == "assistant"
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"]) == (True, "length")
    assert last["total_duration"] > 0


@pytest.mark.parametrize("messages", [None, []])
def test_a_chat_without_messages_asks_whether_the_model_is_loaded(
    client: httpx.Client, messages: object
) -> None:
    reply = client.post(PATH, json={"model": "fast", "messages": messages}).json()
    assert reply.pop("created_at")
    assert reply == {
        "model": "fast",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "load",
    }


def test_all_roles_are_turns(client: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "s"},
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": CALLED, "thinking": None},
        {"role": "tool", "tool_name": "time", "content": "noon"},
        {"role": "tool", "tool_name": "weather", "content": "rain"},
    ]
    prompt = (
        f"system: s\nuser: a\nassistant: {CALLS}\n"
        "user: Result of time:\nnoon\n\nResult of weather:\nrain\n"
    )
    raw = {"model": "fast", "prompt": prompt, "raw": True, "stream": False}
    expected = client.post("/api/generate", json=raw).json()["prompt_eval_count"]
    assert chat(client, messages=messages)["prompt_eval_count"] == expected


def test_a_result_needs_a_call(client: httpx.Client) -> None:
    messages = [*ASK, {"role": "tool", "tool_name": "time", "content": "noon"}]
    response = client.post(PATH, json={"model": "fast", "messages": messages})
    assert response.status_code == 400
    assert "no assistant's turn" in response.text


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("robot", {"messages": [{"role": "robot", "content": "a"}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": 1}]}),
        ("messages[0].images", {"messages": [{**ASK[0], "images": ["aGk="]}]}),
        ("tools[0].function.name", {"tools": [{"function": {}}]}),
        ("think", {"think": True}),
        ("logprobs", {"logprobs": True}),
    ],
)
def test_what_is_malformed_or_missing_is_refused_by_name(
    client: httpx.Client, field: str, body: dict[str, Any]
) -> None:
    response = client.post(PATH, json={"model": "fast", "messages": ASK, **body})
    assert response.status_code == 400
    assert f"'{field}'" in response.text


def test_calls_have_their_arguments_as_an_object(calling: httpx.Client) -> None:
    reply = call(calling, tokens=len(CALLS.encode()), stream=False).json()
    assert reply["message"] == {"role": "assistant", "content": "", "tool_calls": CALLED}


def test_a_stream_shows_calls_in_one_line(calling: httpx.Client) -> None:
    response = call(calling, tokens=len(CALLS.encode()))
    calls, last = map(json.loads, response.text.splitlines())
    assert calls["message"] == {"role": "assistant", "content": "", "tool_calls": CALLED}
    assert calls["done"] is False
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["done"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_cut_off_is_not_shown(calling: httpx.Client, stream: bool) -> None:
    tokens = len(CALLS.encode()) - len("{}}]}")
    lines = call(calling, tokens=tokens, stream=stream).text.splitlines()
    replies = [json.loads(line) for line in lines]
    assert replies[0]["message"]["tool_calls"] == CALLED[:1]
    assert replies[-1]["done_reason"] == "length"


def test_without_tools_nothing_is_a_call(calling: httpx.Client) -> None:
    reply = call(calling, tokens=len(CALLS.encode()), tools=[], stream=False).json()
    assert reply["message"] == {"role": "assistant", "content": CALLS}


@pytest.mark.parametrize("stream", [False, True])
def test_with_tools_text_is_still_text(client: httpx.Client, stream: bool) -> None:
    body = {"model": "fast", "messages": ASK, "tools": TOOLS, "stream": stream}
    response = client.post(PATH, json={**body, "options": {"num_predict": 13}})
    replies = [json.loads(line) for line in response.text.splitlines()]
    assert "".join(reply["message"]["content"] for reply in replies) == "Grüße aus K"
