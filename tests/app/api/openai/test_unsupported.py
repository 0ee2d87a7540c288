from typing import Any

import httpx
import pytest

from codeserve.app.api.openai.unsupported import CHAT, COMPLETION, refuse_unsupported
from codeserve.engines.errors import UnsupportedFeature


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/completions", "echo", True),
        ("/v1/completions", "logprobs", 0),
        ("/v1/completions", "best_of", 3),
        ("/v1/completions", "guided_regex", "a+"),
        ("/v1/completions", "prompt_logprobs", 1),
        ("/v1/chat/completions", "logprobs", True),
        ("/v1/chat/completions", "top_logprobs", 2),
        ("/v1/chat/completions", "tools", [{"type": "function"}]),
        ("/v1/chat/completions", "tool_choice", "required"),
        ("/v1/chat/completions", "response_format", {"type": "json_object"}),
        ("/v1/chat/completions", "json_schema", {}),
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
        {"tools": []},
        {"tool_choice": "auto"},
        {"response_format": {"type": "text"}},
        {"logprobs": False, "top_logprobs": 0},
        {"echo": False},
        {"grammar": ""},
        {"tools": None},
        {"store": True, "metadata": {"a": "b"}, "user": "me"},
    ],
)
def test_a_value_that_changes_nothing_passes(fields: dict[str, Any]) -> None:
    refuse_unsupported(fields, CHAT)


def test_zero_logprobs_of_a_completion_are_logprobs() -> None:
    with pytest.raises(UnsupportedFeature):
        refuse_unsupported({"logprobs": 0}, COMPLETION)
