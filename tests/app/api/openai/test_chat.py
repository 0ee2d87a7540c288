from collections.abc import Callable
from typing import Any

import httpx
import pytest

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hi"}]


def chat(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post(PATH, json={"model": "fast", "messages": HELLO, **body})
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


def prompt_tokens(client: httpx.Client, *messages: dict[str, Any]) -> int:
    count: int = chat(client, messages=messages, max_tokens=1)["usage"]["prompt_tokens"]
    return count


def test_a_chat_has_openais_shape(client: httpx.Client) -> None:
    completion = chat(client, stop="aus")
    assert completion.pop("id").startswith("chatcmpl-")
    assert isinstance(completion.pop("created"), int)
    message = {"role": "assistant", "content": "Grüße ", "refusal": None}
    assert completion == {
        "object": "chat.completion",
        "model": "fast",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 11,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_the_path_works_without_its_version(client: httpx.Client) -> None:
    body = {"model": "fast", "messages": HELLO, "max_tokens": 1}
    assert client.post("/chat/completions", json=body).status_code == 200


def test_parts_of_text_are_joined_in_order(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}]
    assert prompt_tokens(client, {"role": "user", "content": parts}) == prompt_tokens(
        client, {"role": "user", "content": "abcd"}
    )


def test_a_developer_speaks_as_the_system(client: httpx.Client) -> None:
    assert prompt_tokens(client, {"role": "developer", "content": "x"}) == prompt_tokens(
        client, {"role": "system", "content": "x"}
    )


def test_a_tools_result_is_a_users_turn(client: httpx.Client) -> None:
    assistant = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    tool = {"role": "tool", "tool_call_id": "1", "content": "x"}
    assert prompt_tokens(client, *HELLO, assistant, tool) == prompt_tokens(
        client, *HELLO, {"role": "assistant", "content": ""}, {"role": "user", "content": "x"}
    )


def test_without_a_limit_the_answer_fills_the_context(client: httpx.Client) -> None:
    completion = chat(client, model="short")
    assert completion["usage"]["total_tokens"] == 32
    assert completion["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
        ({"max_completion_tokens": None, "max_tokens": 5}, 5),
    ],
)
def test_the_newer_limit_wins(client: httpx.Client, limits: dict[str, Any], tokens: int) -> None:
    assert chat(client, **limits)["usage"]["completion_tokens"] == tokens


def test_a_stream_opens_with_each_role_once_in_order(stream: Stream) -> None:
    chunks = stream(PATH, {"model": "fast", "messages": HELLO, "n": 3, "max_tokens": 9})
    opening = [chunk["choices"][0] for chunk in chunks[:3]]
    assert opening == [
        {
            "index": index,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        for index in range(3)
    ]
    assert not any("role" in chunk["choices"][0]["delta"] for chunk in chunks[3:])


def test_a_stream_gives_text_then_an_empty_finish_then_usage(stream: Stream) -> None:
    body = {"model": "fast", "messages": HELLO, "stop": "Köln"}
    chunks = stream(PATH, {**body, "stream_options": {"include_usage": True}})
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    deltas = [chunk["choices"][0] for chunk in chunks[1:-2]]
    assert "".join(choice["delta"]["content"] for choice in deltas) == "Grüße aus "
    assert {choice["finish_reason"] for choice in deltas} == {None}
    assert chunks[-2]["choices"] == [
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    ]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 17


def test_an_empty_answer_still_opens_and_finishes(stream: Stream) -> None:
    chunks = stream(PATH, {"model": "fast", "messages": HELLO, "stop": "G"})
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas == [{"role": "assistant", "content": ""}, {}]


def test_a_stream_says_what_a_whole_reply_says(client: httpx.Client, stream: Stream) -> None:
    body = {"model": "fast", "messages": HELLO, "n": 2, "max_tokens": 37}
    texts = ["", ""]
    for chunk in stream(PATH, body):
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
    whole = chat(client, **body)
    assert texts == [choice["message"]["content"] for choice in whole["choices"]]
