import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.eventually import eventually

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/v1/completions"


def complete(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post(PATH, json={"model": "fast", "prompt": "a", **body})
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


def test_a_completion_has_openais_shape(client: httpx.Client) -> None:
    completion = complete(client, stop="aus")
    assert completion["usage"].pop("prompt_tokens_details")["cached_tokens"] in (0, 1)
    assert completion.pop("id").startswith("cmpl-")
    assert isinstance(completion.pop("created"), int)
    assert completion == {
        "object": "text_completion",
        "model": "fast",
        "choices": [
            {
                "text": "Grüße ",
                "index": 0,
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": "aus",
            }
        ],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 11,
            "total_tokens": 13,
        },
    }


@pytest.mark.parametrize(
    ("prompt", "prompt_tokens"),
    [
        ("ab", [3]),
        ("", [1]),
        (["ab", "c"], [3, 2]),
        ([256, 97, 98], [3]),
        ([97], [1]),
        ([[97], [256, 98]], [1, 2]),
    ],
    ids=["text", "empty text", "texts", "ids", "one id", "lists of ids"],
)
def test_all_forms_of_a_prompt_are_understood(
    client: httpx.Client, prompt: object, prompt_tokens: list[int]
) -> None:
    completion = complete(client, prompt=prompt)
    assert [choice["index"] for choice in completion["choices"]] == list(range(len(prompt_tokens)))
    assert completion["usage"]["prompt_tokens"] == sum(prompt_tokens)


def test_each_prompt_gets_n_choices_and_counts_once(client: httpx.Client) -> None:
    completion = complete(client, prompt=["a", "bc"], n=3, max_tokens=2)
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2, 3, 4, 5]
    assert completion["usage"]["prompt_tokens"] == 2 + 3
    assert completion["usage"]["completion_tokens"] == 6 * 2


@pytest.mark.parametrize("body", [{}, {"max_tokens": None}])
def test_sixteen_tokens_are_the_default(client: httpx.Client, body: dict[str, Any]) -> None:
    completion = complete(client, **body)
    assert completion["usage"]["completion_tokens"] == 16
    assert completion["choices"][0]["finish_reason"] == "length"


def test_zero_tokens_generate_nothing(client: httpx.Client) -> None:
    completion = complete(client, max_tokens=0)
    assert completion["choices"][0]["text"] == ""
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 0,
        "total_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("ße", "Grü"),
        (["aus", "ße"], "Grü"),
        (["", "ü"], "Gr"),
        ([], "Grüße aus K"),
        (None, "Grüße aus K"),
        ([f"no {number}" for number in range(40)], "Grüße aus K"),
    ],
)
def test_a_stop_string_ends_the_text_and_is_not_shown(
    client: httpx.Client, stop: object, text: str
) -> None:
    assert complete(client, stop=stop, max_tokens=13)["choices"][0]["text"] == text


def test_null_stands_for_every_default(client: httpx.Client) -> None:
    names = (
        *("suffix", "max_tokens", "n", "stop", "stream", "stream_options", "seed", "temperature"),
        *("top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "logit_bias"),
        *("repetition_penalty", "repeat_penalty", "logprobs", "echo", "best_of", "user"),
    )
    assert complete(client, **dict.fromkeys(names))["choices"][0]["text"]


def test_unknown_fields_pass(client: httpx.Client) -> None:
    assert complete(client, keep_alive="5m", options={"num_ctx": 1}, user=7)["choices"]


def test_an_empty_suffix_is_no_suffix(client: httpx.Client) -> None:
    assert complete(client, suffix="")["choices"]


def test_a_suffix_needs_a_model_that_fills(client: httpx.Client) -> None:
    response = client.post(PATH, json={"model": "fast", "prompt": "a", "suffix": "b"})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("suffix", "fim_not_supported")


def test_a_suffix_needs_a_prompt_of_text(client: httpx.Client) -> None:
    response = client.post(PATH, json={"model": "fast", "prompt": [1], "suffix": "b"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "suffix"


def test_best_of_may_be_what_n_is(client: httpx.Client) -> None:
    assert len(complete(client, n=2, best_of=2)["choices"]) == 2


def test_an_unknown_model_is_a_404(client: httpx.Client) -> None:
    response = client.post(PATH, json={"model": "fats", "prompt": "a"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
    assert "Did you mean 'fast'" in error["message"]


def test_a_failed_model_is_a_503_that_says_why(client: httpx.Client) -> None:
    response = client.post(PATH, json={"model": "broken", "prompt": "a"})
    assert response.status_code == 503
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "model_unavailable")
    assert "a tensor is missing" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_beyond_the_context_is_a_400_before_any_header(
    client: httpx.Client, stream: bool
) -> None:
    body = {"model": "short", "prompt": "a" * 40, "stream": stream}
    response = client.post(PATH, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "maximum context length is 32 tokens" in error["message"]


def test_one_prompt_beyond_the_context_refuses_them_all(client: httpx.Client) -> None:
    body = {"model": "short", "prompt": ["a", "a" * 40], "stream": True}
    assert client.post(PATH, json=body).status_code == 400

    def is_idle() -> bool:
        status = client.get("/v1/models/short").json()
        return (status["running"], status["waiting"]) == (0, 0)

    asyncio.run(eventually(is_idle))


def test_tokens_beyond_the_context_are_clamped(client: httpx.Client) -> None:
    completion = complete(client, model="short", prompt="a" * 10, max_tokens=4096)
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["total_tokens"] == 32


@pytest.mark.parametrize(
    ("prompts", "n", "field", "message"),
    [
        (129, 2, "n", "258 choices (129 prompts, 2 choices each)"),
        (257, 1, "prompt", "257 choices (257 prompts, 1 choices each)"),
    ],
)
def test_too_many_choices_are_a_400(
    client: httpx.Client, prompts: int, n: int, field: str, message: str
) -> None:
    response = client.post(PATH, json={"model": "fast", "prompt": ["a"] * prompts, "n": n})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == field
    assert message in error["message"]


def test_half_a_surrogate_pair_is_a_400(client: httpx.Client) -> None:
    response = client.post(
        PATH,
        content=rb'{"model": "fast", "prompt": "\ud83d"}',
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 400


def test_a_stream_gives_text_then_an_empty_finish(stream: Stream) -> None:
    chunks = stream(PATH, {"model": "fast", "prompt": "a", "stop": "Kö"})
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert "".join(choice["text"] for choice in choices) == "Grüße aus "
    assert all(choice["text"] and choice["finish_reason"] is None for choice in choices[:-1])
    assert choices[-1] == {
        "text": "",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
        "stop_reason": "Kö",
    }
    assert not any("usage" in chunk for chunk in chunks)


def test_a_stream_ends_with_usage_if_asked_to(client: httpx.Client, stream: Stream) -> None:
    body = {"prompt": ["ab", "c"], "n": 2, "max_tokens": 5}
    chunks = stream(PATH, {"model": "fast", **body, "stream_options": {"include_usage": True}})
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == complete(client, **body)["usage"]
    assert not any("usage" in chunk for chunk in chunks[:-1])


def test_a_stream_says_what_a_whole_reply_says(client: httpx.Client, stream: Stream) -> None:
    body = {"model": "fast", "prompt": ["a", "b"], "n": 2, "max_tokens": 37, "seed": 7}
    texts = dict.fromkeys(range(4), "")
    for chunk in stream(PATH, body):
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    whole = complete(client, **body)
    assert texts == {choice["index"]: choice["text"] for choice in whole["choices"]}
