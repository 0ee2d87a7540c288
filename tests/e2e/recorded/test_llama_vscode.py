"""llama.vscode: /infill without chosen fields, and what it asks of a server at its start."""

from typing import Any

import httpx

from tests.e2e.recorded.editor import BASE, MIDDLE, SUFFIX, ask
from tests.e2e.server import Server

INFILL: dict[str, Any] = {
    "input_prefix": "def add(a, b):\n",
    "input_suffix": SUFFIX,
    "input_extra": [{"text": "value = 1\n", "time": 1769839221934, "filename": "values.py"}],
    "prompt": "    ",
    "n_predict": 128,
    "n_cmpl": 3,
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "n_indent": 4,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 500,
    "model": BASE,
}
INPUT_TOKEN_FIELDS = (
    "max_input_tokens",
    "context_length",
    "context_window",
    "max_position_embeddings",
    "n_ctx",
    "n_ctx_train",
)


def contents(reply: Any) -> list[str]:
    """Both forms that llama.vscode reads: one object, or a list where several were asked for."""
    return [one["content"] for one in (reply if isinstance(reply, list) else [reply])]


def test_each_content_is_a_text(server: Server) -> None:
    found = contents(ask(server, "/infill", INFILL).json())

    assert len(found) in (1, 3)
    assert all(isinstance(content, str) for content in found)


def test_the_middle_comes_back(server: Server) -> None:
    assert set(contents(ask(server, "/infill", INFILL | {"top_k": 1}).json())) == {MIDDLE}


def test_one_completion_is_an_object_with_nested_timings(server: Server) -> None:
    reply = ask(server, "/infill", INFILL | {"n_cmpl": 1}).json()

    assert isinstance(reply["content"], str)
    assert reply["timings"]["predicted_n"] > 0
    assert isinstance(reply["timings"]["predicted_ms"], int | float)
    assert isinstance(reply["truncated"], bool)
    assert isinstance(reply["tokens_cached"], int)


def test_the_server_says_that_it_is_well(server: Server) -> None:
    response = httpx.get(f"{server.url}/health", timeout=60)
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


def test_a_model_tells_its_context(server: Server) -> None:
    listed = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
    assert all(any(isinstance(m.get(name), int) for name in INPUT_TOKEN_FIELDS) for m in listed)


def test_properties_tell_the_context(server: Server) -> None:
    shown = httpx.get(f"{server.url}/props", params={"model": BASE}, timeout=60).json()
    assert shown["default_generation_settings"]["n_ctx"] == 512


def test_text_is_counted_in_tokens(server: Server) -> None:
    body = {"content": "Hello world", "add_special": False, "parse_special": True, "model": BASE}
    assert ask(server, "/tokenize", body).json()["tokens"] == [17535, 1835]
