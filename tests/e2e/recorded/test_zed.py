"""Zed: whole completions read by strict types, and an agent's chat."""

from typing import Any

from tests.e2e.recorded.editor import ANSWER, BASE, INSTRUCT, MARKED, MIDDLE, QUESTION, ask, chunks
from tests.e2e.server import Server

STOPS = [
    "<|endoftext|>",
    "<|file_separator|>",
    "<|fim_pad|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<PRE>",
    "<SUF>",
    "<MID>",
    "[PREFIX]",
    "[SUFFIX]",
]
EDIT_PREDICTION = {"model": BASE, "prompt": MARKED, "max_tokens": 256, "stop": STOPS}
"""Without a temperature: the server's default of 1 applies."""
AGENT = {
    "model": INSTRUCT,
    "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 64,
    "temperature": 0,
    "stop": [],
    "prompt_cache_key": "0b6d1c9e",
}


def has_types(value: Any, **types: type) -> bool:
    return all(type(value[name]) is kind for name, kind in types.items())


def test_an_edit_prediction_has_every_field_that_zed_requires(server: Server) -> None:
    reply = ask(server, "/v1/completions", EDIT_PREDICTION).json()
    [choice] = reply["choices"]

    assert has_types(reply, id=str, object=str, created=int, model=str)
    assert has_types(reply["usage"], prompt_tokens=int, completion_tokens=int, total_tokens=int)
    assert has_types(choice, text=str, finish_reason=str)
    assert "<｜" not in choice["text"], "Zed strips only other models' markers"


def test_the_greedy_edit_prediction_is_the_middle(server: Server) -> None:
    reply = ask(server, "/v1/completions", EDIT_PREDICTION | {"temperature": 0}).json()
    assert reply["choices"][0]["text"] == MIDDLE


def test_every_event_of_an_agents_chat_has_choices(server: Server) -> None:
    *read, last = chunks(ask(server, "/v1/chat/completions", AGENT))

    assert all(len(chunk["choices"]) == 1 for chunk in read)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in read) == ANSWER
    assert last["choices"] == []
    assert has_types(last["usage"], prompt_tokens=int, completion_tokens=int, total_tokens=int)
