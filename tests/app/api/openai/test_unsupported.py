from typing import Any

import httpx
import pytest

from codeserve.app.api.openai.chat_types import ChatRequest
from codeserve.app.api.openai.completion_types import CompletionRequest
from codeserve.app.api.openai.ignored import IGNORED
from codeserve.app.api.openai.unsupported import CHAT, COMPLETION, refuse_unsupported


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/completions", "bad_words", ["x"]),
        ("/v1/completions", "length_penalty", 1.2),
        ("/v1/completions", "lora", [{"id": 0, "scale": 0.5}]),
        ("/v1/completions", "mirostat", 2),
        ("/v1/completions", "mirostat_mode", 2),
        ("/v1/completions", "n_cmpl", 3),
        ("/v1/completions", "top_n_sigma", 1.0),
        ("/v1/completions", "truncation_side", "right"),
        ("/v1/completions", "use_beam_search", True),
        ("/v1/chat/completions", "adaptive_target", 0.5),
        ("/v1/chat/completions", "best_of", 2),
        ("/v1/chat/completions", "dry_multiplier", 0.8),
        ("/v1/chat/completions", "grammar_lazy", True),
        ("/v1/chat/completions", "suffix", "b"),
        ("/v1/chat/completions", "documents", [{"text": "x"}]),
        ("/v1/chat/completions", "audio", {"voice": "x"}),
        ("/v1/chat/completions", "modalities", ["audio"]),
    ],
)
def test_a_field_that_would_mislead_is_refused_by_name(
    client: httpx.Client, path: str, field: str, value: object
) -> None:
    body = {"model": "fast", "prompt": "a", "messages": [{"role": "user", "content": "a"}]}
    response = client.post(path, json={**body, field: value})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (field, "unsupported_parameter")
    assert f"'{field}'" in error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"bad_words": []},
        {"modalities": ["text"]},
        {"mirostat": 0, "xtc_probability": 0.0},
        {"audio": None},
        {"store": True, "metadata": {"a": "b"}, "user": "me"},
    ],
)
def test_a_value_that_changes_nothing_passes(fields: dict[str, Any]) -> None:
    refuse_unsupported(fields, CHAT)


def test_no_field_is_both_ignored_and_refused_or_honoured() -> None:
    honoured = {*CompletionRequest.model_fields, *ChatRequest.model_fields}
    refused = {*COMPLETION, *CHAT}
    assert not refused & IGNORED.keys()
    assert not honoured & IGNORED.keys()
    assert not CompletionRequest.model_fields.keys() & COMPLETION.keys()
    assert not ChatRequest.model_fields.keys() & CHAT.keys()


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_ignored_fields_take_any_value(client: httpx.Client, path: str) -> None:
    body = {"model": "fast", "prompt": "a", "messages": [{"role": "user", "content": "a"}]}
    ignored = {name: {"odd": [1]} for name in IGNORED if "." not in name}
    response = client.post(path, json={**body, "max_tokens": 1, **ignored})
    assert response.status_code == 200, response.text
