from typing import Any

import httpx
import pytest

from codeserve.app.edge.validation import field_path, json_type

COMPLETION = {"model": "fast", "prompt": "a"}
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "a"}]}


def test_a_path_reads_like_javascript() -> None:
    assert field_path(("messages", 0, "content")) == "messages[0].content"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_json_types_have_names(value: object, words: str) -> None:
    assert json_type(value) == words


@pytest.mark.parametrize(
    ("change", "param", "code", "message"),
    [
        (
            {"temperature": "1"},
            "temperature",
            "invalid_type",
            "expected a number, but got a string",
        ),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value", "<= 2.0, but got 2.5"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value", ">= 0.0, but got -1"),
        ({"n": 0}, "n", "integer_below_min_value", ">= 1, but got 0"),
        ({"n": 129}, "n", "integer_above_max_value", "<= 128, but got 129"),
        ({"n": 1.5}, "n", "invalid_type", "expected an integer, but got a decimal number"),
        ({"n": True}, "n", "invalid_type", "expected an integer, but got a boolean"),
        ({"seed": 2**63}, "seed", "integer_above_max_value", "< 9223372036854775808"),
        ({"max_tokens": -1}, "max_tokens", "integer_below_min_value", ">= 0, but got -1"),
        ({"stream": "yes"}, "stream", "invalid_type", "expected a boolean, but got a string"),
        ({"stream_options": 1}, "stream_options", "invalid_type", "expected an object"),
        ({"stream_options": {}}, "stream_options", "invalid_value", "with 'stream' only"),
        ({"suffix": 1}, "suffix", "invalid_type", "expected a string, but got an integer"),
        ({"stop": 1}, "stop", "invalid_type", "a string or an array of strings"),
        ({"stop": ["a", 1]}, "stop", "invalid_type", "element 1 is an integer"),
        ({"prompt": []}, "prompt", "invalid_value", "must not be an empty array"),
        ({"prompt": [[]]}, "prompt", "invalid_value", "must not be an empty array"),
        ({"prompt": ["a", 1]}, "prompt", "invalid_type", "without a mixture"),
        ({"prompt": [[1], "a"]}, "prompt", "invalid_type", "without a mixture"),
        ({"prompt": [-1]}, "prompt", "invalid_type", "token ids (integers from 0)"),
        ({"prompt": [True]}, "prompt", "invalid_type", "token ids (integers from 0)"),
        ({"prompt": None}, "prompt", "invalid_type", "a string or an array, but it is null"),
        ({"prompt": [300]}, "prompt", "invalid_value", "token id 300 does not exist"),
        ({"logit_bias": [1]}, "logit_bias", "invalid_type", "expected an object"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value", "'a' is no token id"),
        ({"logit_bias": {"1": "a"}}, "logit_bias", "invalid_type", "the bias of token 1"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "invalid_value", "from -100 to 100"),
        (
            {"logit_bias": {"258": 1}},
            "logit_bias",
            "invalid_value",
            "this model's ids are 0 to 257",
        ),
        ({"top_k": -2}, "top_k", "integer_below_min_value", ">= -1"),
        ({"repetition_penalty": 0}, "repetition_penalty", "decimal_below_min_value", "> 0.0"),
    ],
)
def test_a_bad_field_of_a_completion_is_a_400_that_names_it(
    client: httpx.Client, change: dict[str, Any], param: str, code: str, message: str
) -> None:
    error = refusal(client, "/v1/completions", {**COMPLETION, **change})
    assert (error["param"], error["code"]) == (param, code)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("change", "param", "code", "message"),
    [
        ({"messages": []}, "messages", "empty_array", "empty array"),
        ({"messages": "a"}, "messages", "invalid_type", "expected an array, but got a string"),
        ({"messages": ["a"]}, "messages[0]", "invalid_type", "expected an object"),
        (
            {"messages": [{"content": "a"}]},
            "messages[0].role",
            "missing_required_parameter",
            "Missing required parameter: 'messages[0].role'.",
        ),
        (
            {"messages": [{"role": "robot", "content": "a"}]},
            "messages[0].role",
            "invalid_value",
            "Invalid value: 'robot'. Supported values are: 'system'",
        ),
        (
            {"messages": [{"role": "user", "content": 1}]},
            "messages[0].content",
            "invalid_type",
            "a string or an array of text parts, but it is an integer",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "messages[0].content",
            "invalid_type",
            "but got null",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
            "invalid_value",
            "part 0 is of type 'image_url'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content",
            "invalid_type",
            "the text of part 0 is null",
        ),
        (
            {"max_completion_tokens": "1"},
            "max_completion_tokens",
            "invalid_type",
            "expected an integer",
        ),
    ],
)
def test_a_bad_field_of_a_chat_is_a_400_that_names_it(
    client: httpx.Client, change: dict[str, Any], param: str, code: str, message: str
) -> None:
    error = refusal(client, "/v1/chat/completions", {**CHAT, **change})
    assert (error["param"], error["code"]) == (param, code)
    assert message in error["message"]


@pytest.mark.parametrize("body", [{}, {"prompt": "a"}, {"model": None}, {"model": ""}])
def test_without_a_model_the_client_is_asked_for_one(client: httpx.Client, body: object) -> None:
    error = refusal(client, "/v1/completions", body)
    assert error["message"].startswith("you must provide a model parameter")
    assert (error["param"], error["code"]) == (None, None)


@pytest.mark.parametrize("model", [5, ["fast"], {"id": "fast"}])
def test_a_model_of_a_wrong_type_is_named(client: httpx.Client, model: object) -> None:
    error = refusal(client, "/v1/completions", {"model": model, "prompt": "a"})
    assert (error["param"], error["code"]) == ("model", "invalid_type")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [("/v1/completions", {}, "prompt"), ("/v1/chat/completions", {}, "messages")],
)
def test_a_missing_field_is_named(
    client: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    error = refusal(client, path, {"model": "fast", **body})
    assert error["message"] == f"Missing required parameter: '{field}'."
    assert error["param"] == field


def refusal(client: httpx.Client, path: str, body: object) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error
