"""Tabby's kinds that speak OpenAI's completions; it panics at an event that it cannot read."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.recorded.editor import (
    ANSWER,
    BASE,
    INSTRUCT,
    MARKED,
    MIDDLE,
    PREFIX,
    QUESTION,
    SUFFIX,
    ask,
    chunks,
)
from tests.e2e.server import Server

COMMON = {
    "model": BASE,
    "max_tokens": 256,
    "temperature": 0.1,
    "stream": True,
    "presence_penalty": 0.0,
}
OPENAI = COMMON | {"prompt": PREFIX, "suffix": SUFFIX}
VLLM = COMMON | {"prompt": MARKED, "suffix": None}
FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def read_until_finished(server: Server, path: str, body: dict[str, Any]) -> str:
    """Read as Tabby does: up to the first reason to finish, then drop the connection."""
    text = ""
    with (
        httpx.Client(timeout=60) as client,
        client.stream("POST", f"{server.url}{path}", json=body) as response,
    ):
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data:"):
                choice = json.loads(line.removeprefix("data:"))["choices"][0]
                assert isinstance(choice["text"], str)
                text += choice["text"]
                if choice["finish_reason"] is not None:
                    break
    return text


@pytest.mark.parametrize("body", [OPENAI, VLLM], ids=["openai/completion", "vllm/completion"])
def test_a_completion_is_read_up_to_its_end(server: Server, body: dict[str, Any]) -> None:
    assert read_until_finished(server, "/v1/completions", body) == MIDDLE


def test_a_chat_has_integers_and_known_names_only(server: Server) -> None:
    """The client behind Tabby's chat fails at anything else."""
    body = {
        "model": INSTRUCT,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0.0,
        "stream": True,
    }
    read = chunks(ask(server, "/v1/chat/completions", body))

    assert {type(chunk["created"]) for chunk in read} == {int}
    assert {chunk["object"] for chunk in read} == {"chat.completion.chunk"}
    assert {chunk["choices"][0]["delta"].get("role") for chunk in read} <= {None, "assistant"}
    assert {chunk["choices"][0]["finish_reason"] for chunk in read} <= {None, *FINISH_REASONS}
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in read) == ANSWER
