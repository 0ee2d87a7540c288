import json
from typing import Any

import httpx
import pytest

from codeserve.app.api.mistral.fim import fim_request
from codeserve.app.api.mistral.fim_types import FimRequest
from codeserve.engines.types import SamplingParams
from codeserve.model_specs.spec import Sampling, Variant

PATH = "/v1/fim/completions"
PREFIX = "def add(a, b):\n    "
SUFFIX = "\n    return total\n"
MIDDLE = "total = a + b"

TABBY: dict[str, Any] = {
    "model": "base",
    "prompt": PREFIX,
    "suffix": SUFFIX,
    "max_tokens": 256,
    "temperature": 0.1,
    "stream": True,
    "random_seed": 1702183612016348000,
}
CONTINUE: dict[str, Any] = {
    "model": "base",
    "prompt": PREFIX,
    "suffix": SUFFIX,
    "max_tokens": 4096,
    "temperature": 0.01,
    "top_p": None,
    "frequency_penalty": None,
    "presence_penalty": None,
    "stop": ["\n\n"],
    "stream": True,
}
MINUET: dict[str, Any] = {
    "model": "base",
    "prompt": f"# language: python\n{PREFIX}",
    "suffix": SUFFIX,
    "stream": True,
    "max_tokens": 256,
    "stop": ["\n\n"],
    "temperature": 0,
}
PROXY_AI: dict[str, Any] = {
    "model": "base",
    "prompt": PREFIX,
    "suffix": SUFFIX,
    "max_tokens": 128,
    "stream": True,
    "temperature": 0.1,
}


def fill(client: httpx.Client, **body: Any) -> dict[str, Any]:
    whole = {"prompt": PREFIX, "suffix": SUFFIX, "temperature": 0, **body}
    response = client.post(PATH, json=whole)
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


def chunks(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    frames = response.text.removesuffix("\n\n").split("\n\n")
    assert frames.pop() == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@pytest.mark.parametrize("body", [TABBY, CONTINUE, PROXY_AI], ids=["Tabby", "Continue", "ProxyAI"])
def test_editors_join_the_content_of_deltas(tiny: httpx.Client, body: dict[str, Any]) -> None:
    """Tabby takes no delta without a string."""
    choices = [chunk["choices"][0] for chunk in chunks(tiny, body)]
    assert all(isinstance(choice["delta"]["content"], str) for choice in choices)
    assert "".join(choice["delta"]["content"] for choice in choices) == MIDDLE
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_minuet_gets_a_middle(tiny: httpx.Client) -> None:
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks(tiny, MINUET))
    assert text.endswith("a + b")


def test_a_stream_begins_with_the_role_and_ends_with_the_usage(tiny: httpx.Client) -> None:
    first, *rest, last = chunks(tiny, TABBY)
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("usage" not in chunk for chunk in (first, *rest))
    assert not any("role" in chunk["choices"][0]["delta"] for chunk in rest)
    assert last["usage"]["completion_tokens"] == 6
    assert len({chunk["id"] for chunk in (first, *rest, last)}) == 1


def test_a_whole_answer_has_the_shape_of_a_chat(tiny: httpx.Client) -> None:
    completion = fill(tiny, model="base")
    assert completion.pop("id").startswith("fim-")
    assert isinstance(completion.pop("created"), int)
    assert completion.pop("usage")["total_tokens"] == 18 + 6
    message = {"role": "assistant", "content": MIDDLE, "tool_calls": None}
    assert completion == {
        "object": "chat.completion",
        "model": "base",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }


def test_without_a_model_one_that_fills_is_taken(tiny: httpx.Client) -> None:
    assert fill(tiny)["model"] == "base"


def test_the_number_of_tokens_is_limited(tiny: httpx.Client) -> None:
    [choice] = fill(tiny, max_tokens=2)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("total =", "length")


def test_a_stop_string_ends_the_middle(tiny: httpx.Client) -> None:
    assert fill(tiny, stop=" +")["choices"][0]["message"]["content"] == "total = a"


@pytest.mark.parametrize("suffix", [None, ""])
def test_without_a_suffix_the_prompt_goes_on(tiny: httpx.Client, suffix: object) -> None:
    completion = fill(tiny, prompt="def add(a, b):\n", suffix=suffix)
    assert completion["choices"][0]["message"]["content"] == "    return a + b\n"
    assert completion["usage"]["prompt_tokens"] == 9


@pytest.mark.parametrize("suffix", [None, SUFFIX])
def test_markers_typed_in_a_prompt_are_text(tiny: httpx.Client, suffix: object) -> None:
    def prompt_tokens(prompt: str) -> int:
        tokens: int = fill(tiny, prompt=prompt, suffix=suffix)["usage"]["prompt_tokens"]
        return tokens

    assert prompt_tokens("# <｜fim▁hole｜>\n") > prompt_tokens("# \n") + 8


def test_the_same_seed_draws_the_same(tiny: httpx.Client) -> None:
    body = {"prompt": "x", "suffix": "y", "temperature": 2, "random_seed": 7, "max_tokens": 20}
    first, second = (fill(tiny, **body)["choices"] for _ in range(2))
    assert first == second


def test_a_model_that_does_not_fill_is_a_400(tiny: httpx.Client) -> None:
    body = {"model": "instruct", "prompt": PREFIX, "suffix": SUFFIX}
    response = tiny.post(PATH, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "fim_not_supported"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", [1]),
        ("suffix", 1),
        ("max_tokens", 0),
        ("random_seed", -1),
        ("temperature", 3),
        ("stop", 1),
    ],
)
def test_wrong_values_are_refused_by_name(tiny: httpx.Client, field: str, value: object) -> None:
    response = tiny.post(PATH, json={"prompt": PREFIX, "suffix": SUFFIX, field: value})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


def test_a_stream_that_breaks_off_says_so(make_model: Any, start_server: Any) -> None:
    weak = make_model("weak", fail_after=5, step_seconds=0.05)
    with start_server(weak) as server, server.client() as client:
        *_, last = chunks(client, {"prompt": "a", "stream": True})
    assert last["error"]["type"] == "server_error"


def test_sampling_that_is_left_out_has_the_models_defaults() -> None:
    recommended = Sampling(temperature=0.2, top_p=0.9)
    variant = Variant(family="f", name="v", context_length=64, sampling=recommended)
    request = fim_request(FimRequest(prompt="a", top_p=1, temperature=None), variant)
    assert request.sampling == SamplingParams(temperature=0.2, top_p=1.0)


def test_every_field_of_sampling_arrives() -> None:
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.7,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
        "min_tokens": 2,
    }
    request = fim_request(
        FimRequest.model_validate({"prompt": "a", "random_seed": 3, **fields}),
        Variant(family="f", name="v", context_length=64),
    )
    assert request.sampling == SamplingParams(seed=3, **fields)
