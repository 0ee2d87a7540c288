"""Completions in pieces, as a client reads them from a real server."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/v1/completions"


def whole(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


def joined(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The choices that ``chunks`` add up to."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for piece in chunk["choices"]:
            choice = choices.setdefault(piece["index"], {"text": "", "logprobs": None})
            choice["text"] += piece["text"]
            choice["finish_reason"] = piece["finish_reason"]
            choice["stop_reason"] = piece.get("stop_reason")
            for name in ("prompt_token_ids", "token_ids"):
                choice[name] = choice.get(name, []) + piece.get(name, [])
            if piece["logprobs"] is not None:
                before = choice["logprobs"] or {name: [] for name in piece["logprobs"]}
                choice["logprobs"] = {
                    name: before[name] + entries for name, entries in piece["logprobs"].items()
                }
    return [choices[index] | {"index": index} for index in sorted(choices)]


@pytest.mark.parametrize("stop", [None, "Kö"])
def test_interleaved_choices_add_up_to_a_whole_reply(
    client: httpx.Client, stream: Stream, stop: str | None
) -> None:
    body = {
        "model": "slow",
        "prompt": ["aü", "b"],
        "n": 2,
        "max_tokens": 24,
        "echo": True,
        "logprobs": 1,
        "return_token_ids": True,
        "stop": stop,
    }
    chunks = stream(PATH, body)
    assert joined(chunks) == whole(client, body)["choices"]


def test_every_choice_begins_with_its_echo_and_its_prompts_ids(stream: Stream) -> None:
    body = {"model": "fast", "prompt": ["ab", "c"], "n": 2, "echo": True, "return_token_ids": True}
    firsts: dict[int, dict[str, Any]] = {}
    later = []
    for chunk in stream(PATH, body):
        (piece,) = chunk["choices"]
        if piece["index"] in firsts:
            later.append(piece)
        else:
            firsts[piece["index"]] = piece
    assert {index: piece["text"] for index, piece in firsts.items()} == {
        0: "ab",
        1: "ab",
        2: "c",
        3: "c",
    }
    assert firsts[2]["prompt_token_ids"] == [256, 99]
    assert not any("prompt_token_ids" in piece for piece in later)


def test_an_echo_of_no_tokens_is_one_chunk_and_the_end(stream: Stream) -> None:
    chunks = stream(PATH, {"model": "fast", "prompt": "ab", "echo": True, "max_tokens": 0})
    pieces = [chunk["choices"][0] for chunk in chunks]
    assert [piece["text"] for piece in pieces] == ["ab", ""]
    assert [piece["finish_reason"] for piece in pieces] == [None, "length"]


def test_every_chunk_has_the_usage_up_to_it_if_asked_to(
    client: httpx.Client, stream: Stream
) -> None:
    body = {"model": "slow", "prompt": "ab", "max_tokens": 9}
    options = {"include_usage": True, "continuous_usage_stats": True}
    *chunks, last = stream(PATH, {**body, "stream_options": options})
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 9
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 3 + 9)
    assert (
        "".join(choice["text"] for choice in joined(chunks))
        == (whole(client, body)["choices"][0]["text"])
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"continuous_usage_stats": True}, {"include_usage": False, "include_obfuscation": True}],
)
def test_without_being_asked_no_chunk_has_a_usage(stream: Stream, options: object) -> None:
    chunks = stream(PATH, {"model": "fast", "prompt": "a", "stream_options": options})
    assert not any("usage" in chunk for chunk in chunks)


def test_comments_keep_the_connection_open_while_a_prompt_is_read(client: httpx.Client) -> None:
    body = {"model": "slow", "prompt": "a" * 2500, "max_tokens": 1, "stream": True}
    events = client.post(PATH, json=body).text.split("\n\n")
    assert events[0] == ": ping"
    assert events[-2] == "data: [DONE]"
