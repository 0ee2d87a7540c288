"""aider, through LiteLLM: chats, and errors told apart by their words."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.recorded.editor import ANSWER, INSTRUCT, QUESTION, ask, chunks
from tests.e2e.server import Server

CHAT: dict[str, Any] = {
    "model": INSTRUCT,
    "messages": [
        {"role": "system", "content": "Act as an expert software developer."},
        {"role": "user", "content": QUESTION},
    ],
    "temperature": 0,
    "stream": True,
}


def refusal(server: Server, **fields: Any) -> tuple[int, str]:
    """Status and text of a refused chat."""
    response = httpx.post(f"{server.url}/v1/chat/completions", json=CHAT | fields, timeout=60)
    return response.status_code, response.text


def test_a_chat_ends_with_a_reason(server: Server) -> None:
    body = CHAT | {"messages": [{"role": "user", "content": QUESTION}]}
    read = chunks(ask(server, "/v1/chat/completions", body))

    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in read) == ANSWER
    assert read[-1]["choices"][0]["finish_reason"] == "stop"


def test_an_answer_cut_off_says_so(server: Server) -> None:
    read = chunks(ask(server, "/v1/chat/completions", CHAT | {"max_tokens": 3}))
    assert read[-1]["choices"][0]["finish_reason"] == "length"


def test_a_chat_that_is_too_long_has_the_words_that_mean_it(server: Server) -> None:
    status, text = refusal(server, messages=[{"role": "user", "content": "word " * 600}])

    assert status == 400
    assert "this model's maximum context length is" in text.lower()


def test_an_unknown_model_has_both_words_that_mean_it(server: Server) -> None:
    status, text = refusal(server, model="none")

    assert status == 404
    assert "invalid_request_error" in text
    assert "model_not_found" in text


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "none"},
        {"messages": []},
        {"messages": [{"role": "user", "content": "word " * 600}]},
        {"temperature": 3},
    ],
    ids=["unknown model", "no messages", "too long", "too hot"],
)
def test_no_other_error_looks_like_a_rate_limit(server: Server, fields: dict[str, Any]) -> None:
    _, text = refusal(server, **fields)
    assert not re.search(r"rate.limit|\b429\b", text, re.IGNORECASE)
