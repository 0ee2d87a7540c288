"""Continue: completion from ready-made markers, chat that holds back chunks with usage."""

from typing import Any

import httpx
import pytest

from tests.e2e.recorded.editor import ANSWER, BASE, INSTRUCT, MARKED, MIDDLE, QUESTION, ask, chunks
from tests.e2e.server import Server

STOPS = [
    "<｜fim▁begin｜>",
    "<｜fim▁hole｜>",
    "<｜fim▁end｜>",
    "//",
    "<｜end▁of▁sentence｜>",
    "/src/",
    "#- coding: utf-8",
    "```",
]
AUTOCOMPLETE = {
    "model": BASE,
    "max_tokens": 4096,
    "temperature": 0.01,
    "stop": STOPS,
    "stream": True,
    "prompt": MARKED,
}
CHAT = {
    "model": INSTRUCT,
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": " "},
        {"role": "user", "content": QUESTION},
    ],
    "max_tokens": 4096,
    "temperature": 0.01,
    "stream": True,
    "stream_options": {"include_usage": True},
}
NO_KEY = {"Authorization": "Bearer undefined", "api-key": ""}


def emitted(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Continue passes on: of the chunks with usage only the last."""
    with_usage = [chunk for chunk in stream if chunk.get("usage")]
    return [chunk for chunk in stream if not chunk.get("usage")] + with_usage[-1:]


def test_autocomplete_reads_the_middle_to_its_end(server: Server) -> None:
    read = chunks(ask(server, "/v1/completions", AUTOCOMPLETE, NO_KEY))

    assert "".join(chunk["choices"][0]["text"] for chunk in read) == MIDDLE
    assert read[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_file_that_ends_at_the_cursor_has_a_suffix_of_one_newline(server: Server) -> None:
    prompt = "<｜fim▁begin｜>def add(a, b):\n    return <｜fim▁hole｜>\n<｜fim▁end｜>"
    read = chunks(ask(server, "/v1/completions", AUTOCOMPLETE | {"prompt": prompt}, NO_KEY))

    assert "a + b" in "".join(chunk["choices"][0]["text"] for chunk in read)


def test_snippets_of_other_files_come_first_as_comments(server: Server) -> None:
    snippet = "# Path: values.py\n# x = 1\n"
    prompt = MARKED.replace("<｜fim▁begin｜>", f"<｜fim▁begin｜>{snippet}")
    read = chunks(ask(server, "/v1/completions", AUTOCOMPLETE | {"prompt": prompt}, NO_KEY))

    assert all(isinstance(chunk["choices"][0]["text"], str) for chunk in read)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_chat_loses_no_chunk(server: Server, path: str) -> None:
    body = CHAT | {"messages": [{"role": "user", "content": QUESTION}]}
    read = chunks(ask(server, path, body, NO_KEY))
    kept = emitted(read)

    assert kept == read
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in kept[:-1]) == ANSWER
    assert kept[-1]["usage"]["total_tokens"] > 0


def test_an_empty_turn_of_the_assistant_is_a_space(server: Server) -> None:
    assert chunks(ask(server, "/v1/chat/completions", CHAT, NO_KEY))


def test_the_models_tell_their_context(server: Server) -> None:
    """The provider for vLLM reads it from the first entry."""
    listed = httpx.get(f"{server.url}/v1/models", headers=NO_KEY, timeout=60).json()
    assert isinstance(listed["data"][0]["max_model_len"], int)
