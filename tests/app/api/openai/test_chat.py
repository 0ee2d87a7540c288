from collections.abc import Callable
from typing import Any, ClassVar
from unittest.mock import ANY

import httpx
import pytest

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
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
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Grüße ", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
        "stop_reason": "aus",
    }
    assert completion == {
        "object": "chat.completion",
        "model": "fast",
        "choices": [choice],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 11,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": ANY},
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


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "name": "ann"},
        {"role": "assistant", "content": "x", "refusal": None, "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "refusal": "x"},
        {"role": "assistant", "content": "x", "tool_calls": [], "audio": None},
    ],
)
def test_further_fields_of_a_message_pass(client: httpx.Client, message: dict[str, Any]) -> None:
    plain = {"role": message["role"], "content": "x"}
    assert prompt_tokens(client, message) == prompt_tokens(client, plain)


def refused(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post(PATH, json={"model": "fast", "messages": HELLO, **body})
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
        (
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"chat_template": "{{ messages }}"}, "chat_template"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs"),
        ({"documents": [{"text": "x"}]}, "documents"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"return_prompt_text": True}, "return_prompt_text"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    assert refused(client, **fields)["param"] == param


def test_what_asks_for_nothing_else_is_ignored(client: httpx.Client) -> None:
    fields = {
        "prediction": {"type": "content", "content": "x"},
        "reasoning_effort": "low",
        "verbosity": "low",
        "service_tier": "auto",
        "store": True,
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "chat_template_kwargs": {},
        "documents": [],
        "logprobs": False,
        "top_logprobs": 0,
        "tools": [],
        "functions": [],
    }
    assert chat(client, **fields, max_tokens=3) is not None


def test_messages_that_are_too_long_are_refused_in_openais_words(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "x" * 40}]
    assert refused(client, model="short", messages=messages) == {
        "message": "This model's maximum context length is 32 tokens. However, your messages "
        "resulted in 48 tokens. Please reduce the length of the messages.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }


class TestLogprobs:
    def test_bytes_reproduce_the_content_even_of_split_characters(
        self, client: httpx.Client
    ) -> None:
        (choice,) = chat(client, logprobs=True, stop="!")["choices"]
        assert choice["message"]["content"] == "Grüße aus Köln 🙂"
        assert content_of(choice["logprobs"]["content"]) == "Grüße aus Köln 🙂"
        assert choice["logprobs"]["refusal"] is None

    def test_a_stream_has_the_entries_of_its_text(
        self, client: httpx.Client, stream: Stream
    ) -> None:
        body = {
            "model": "fast",
            "messages": HELLO,
            "logprobs": True,
            "top_logprobs": 2,
            "stop": "!",
        }
        entries = []
        for chunk in stream(PATH, body):
            (choice,) = chunk["choices"]
            text = choice["delta"].get("content", "")
            if not text:
                assert choice["logprobs"] is None
                continue
            assert content_of(choice["logprobs"]["content"]) == text
            entries += choice["logprobs"]["content"]
        assert entries == chat(client, **body)["choices"][0]["logprobs"]["content"]

    def test_bytes_that_are_no_text_are_escaped(self, client: httpx.Client) -> None:
        completion = chat(client, logprobs=True, max_tokens=4)
        tokens = [entry["token"] for entry in completion["choices"][0]["logprobs"]["content"]]
        assert tokens == ["G", "r", r"\xc3", r"\xbc"]

    @pytest.mark.parametrize("count", [0, 1, 20])
    def test_as_many_alternatives_are_shown_as_asked_for(
        self, client: httpx.Client, count: int
    ) -> None:
        completion = chat(client, logprobs=True, top_logprobs=count, max_tokens=2)
        for entry in completion["choices"][0]["logprobs"]["content"]:
            assert len(entry["top_logprobs"]) == count
            if count:
                best = entry["top_logprobs"][0]
                assert best == {key: entry[key] for key in ("token", "logprob", "bytes")}
            assert all(-9999 <= other["logprob"] <= 0 for other in entry["top_logprobs"])

    def test_tokens_can_be_named_by_their_ids(self, client: httpx.Client) -> None:
        completion = chat(client, logprobs=True, return_tokens_as_token_ids=True, max_tokens=1)
        (entry,) = completion["choices"][0]["logprobs"]["content"]
        assert (entry["token"], entry["bytes"]) == ("token_id:71", [71])

    def test_the_prompt_can_be_scored(self, client: httpx.Client) -> None:
        completion = chat(client, prompt_logprobs=1, max_tokens=1)
        first, *others = completion["prompt_logprobs"]
        assert first is None
        assert len(others) == completion["usage"]["prompt_tokens"] - 1
        assert "117" in others[0]


def content_of(entries: list[dict[str, Any]]) -> str:
    """The text of the bytes of ``entries``."""
    return b"".join(bytes(entry["bytes"]) for entry in entries).decode()


class TestTokenIds:
    def test_a_whole_reply_has_them_of_prompt_and_answer(self, client: httpx.Client) -> None:
        completion = chat(client, return_token_ids=True, max_tokens=2)
        assert bytes(completion["prompt_token_ids"][1:]) == b"user: hi\n"
        assert completion["choices"][0]["token_ids"] == [*b"Gr"]

    def test_a_stream_opens_with_those_of_the_prompt(self, stream: Stream) -> None:
        body = {"model": "fast", "messages": HELLO, "n": 2, "max_tokens": 9}
        chunks = stream(PATH, {**body, "return_token_ids": True})
        assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks[:3]] == [
            "assistant",
            "assistant",
            None,
        ]
        assert bytes(chunks[0]["prompt_token_ids"][1:]) == b"user: hi\n"
        assert not any("prompt_token_ids" in chunk for chunk in chunks[1:])
        ids: dict[int, list[int]] = {0: [], 1: []}
        for chunk in chunks:
            (choice,) = chunk["choices"]
            ids[choice["index"]] += choice.get("token_ids", [])
        assert ids == {0: [*"Grüße a".encode()], 1: [*"Grüße a".encode()]}


class TestEndOfThePrompt:
    ANSWER: ClassVar = [*HELLO, {"role": "assistant", "content": "An"}]

    def prompt(self, client: httpx.Client, **body: Any) -> str:
        completion = chat(client, return_token_ids=True, max_tokens=1, **body)
        return bytes(completion["prompt_token_ids"][1:]).decode()

    def test_the_last_message_goes_on(self, client: httpx.Client) -> None:
        prompt = self.prompt(client, messages=self.ANSWER, continue_final_message=True)
        assert prompt == "user: hi\nassistant: An"

    def test_it_does_not_without_being_asked(self, client: httpx.Client) -> None:
        prompt = self.prompt(client, messages=self.ANSWER)
        assert prompt == "user: hi\nassistant: An\n"

    def test_a_message_that_calls_tools_cannot_go_on(self, client: httpx.Client) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        body = {"messages": [*HELLO, message], "continue_final_message": True}
        assert refused(client, **body)["param"] == "continue_final_message"

    def test_it_can_be_shown_ahead_of_the_answer(
        self, client: httpx.Client, stream: Stream
    ) -> None:
        body = {"messages": self.ANSWER, "continue_final_message": True, "echo": True}
        body = {"model": "fast", **body, "max_tokens": 2}
        assert chat(client, **body)["choices"][0]["message"]["content"] == "AnGr"
        deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in stream(PATH, body)]
        assert deltas[:2] == ["", "An"]
        assert "".join(deltas) == "AnGr"

    def test_nothing_is_shown_ahead_after_another_ones_message(self, client: httpx.Client) -> None:
        assert chat(client, echo=True, max_tokens=2)["choices"][0]["message"]["content"] == "Gr"


def test_usage_can_come_with_every_chunk(stream: Stream) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"model": "fast", "messages": HELLO, "max_tokens": 9, "stream_options": options}
    counts = [chunk["usage"]["completion_tokens"] for chunk in stream(PATH, body)]
    assert counts[0] == 0
    assert counts[-1] == 9
    assert counts == sorted(counts)


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
        {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": "stop",
            "stop_reason": "Köln",
        }
    ]
    assert chunks[-1]["choices"] == []
    assert not any("usage" in chunk for chunk in chunks[:-1])
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
