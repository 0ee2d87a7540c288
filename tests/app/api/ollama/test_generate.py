import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Stream = Callable[[str, dict[str, Any]], list[dict[str, Any]]]

PATH = "/api/generate"
METRICS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


def generate(client: httpx.Client, **body: Any) -> dict[str, Any]:
    body = {"model": "fast", "prompt": "a", "raw": True, "stream": False, **body}
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def refusal(client: httpx.Client, **body: Any) -> str:
    response = client.post(PATH, json={"model": "fast", "prompt": "a", **body})
    assert response.status_code == 400, response.text
    return response.text


def test_a_reply_has_ollamas_shape(client: httpx.Client) -> None:
    reply = generate(client, options={"stop": ["aus"]})
    assert reply["response"] == "Grüße "
    assert reply["model"] == "fast"
    assert (reply["done"], reply["done_reason"]) == (True, "stop")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", reply["created_at"])
    assert set(reply) == {"model", "created_at", "response", "done", "done_reason"} | METRICS


def test_a_stream_is_the_default(stream: Stream) -> None:
    *pieces, last = stream(PATH, {"model": "fast", "prompt": "a", "options": {"num_predict": 13}})
    assert "".join(piece["response"] for piece in pieces) == "Grüße aus K"
    for piece in pieces:
        assert set(piece) == {"model", "created_at", "response", "done"}
        assert (piece["model"], piece["done"]) == ("fast", False)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "length")
    assert set(last) >= METRICS


@pytest.mark.parametrize("stream", [False, True])
def test_durations_are_measured_and_add_up(client: httpx.Client, stream: bool) -> None:
    body = {"model": "slow", "prompt": "abc", "raw": True, "stream": stream}
    response = client.post(PATH, json={**body, "options": {"num_predict": 6}})
    last = json.loads(response.text.splitlines()[-1])
    assert (last["prompt_eval_count"], last["eval_count"]) == (4, 6)
    parts = [last[f"{part}_duration"] for part in ("load", "prompt_eval", "eval")]
    assert min(parts) > 0
    assert last["total_duration"] == sum(parts)


def test_a_prompt_is_a_users_turn_of_the_chat_template(client: httpx.Client) -> None:
    raw = generate(client, prompt="user: a\n")["prompt_eval_count"]
    assert generate(client, prompt="a", raw=False)["prompt_eval_count"] == raw


def test_a_system_message_comes_before_it(client: httpx.Client) -> None:
    raw = generate(client, prompt="system: b\nuser: a\n")["prompt_eval_count"]
    assert generate(client, raw=False, system="b")["prompt_eval_count"] == raw


@pytest.mark.parametrize("num_predict", [-1, -2, None])
def test_output_goes_on_to_the_end_of_the_context_by_default(
    client: httpx.Client, num_predict: int | None
) -> None:
    """The context of this model is 32 tokens; the prompt has two."""
    reply = generate(client, model="short", options={"num_predict": num_predict})
    assert (reply["eval_count"], reply["done_reason"]) == (30, "length")


def test_num_predict_may_be_nothing(client: httpx.Client) -> None:
    reply = generate(client, options={"num_predict": 0})
    assert (reply["response"], reply["eval_count"], reply["done_reason"]) == ("", 0, "length")


@pytest.mark.parametrize("body", [{}, {"prompt": None}, {"prompt": ""}, {"keep_alive": 0}])
def test_a_request_without_a_prompt_asks_whether_the_model_is_loaded(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    response = client.post(PATH, json={"model": "fast", **body})
    reply = response.json()
    assert response.headers["content-type"] == "application/json"
    assert reply.pop("created_at")
    assert reply == {"model": "fast", "response": "", "done": True, "done_reason": "load"}


def test_a_model_that_is_not_loaded_is_a_503(client: httpx.Client) -> None:
    response = client.post(PATH, json={"model": "broken"})
    assert response.status_code == 503
    assert "a tensor is missing" in response.text


@pytest.mark.parametrize("path", [PATH, "/api/chat"])
def test_an_unknown_model_is_a_404(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"model": "fats"})
    assert response.status_code == 404
    assert "Did you mean 'fast'" in response.text


@pytest.mark.parametrize("path", [PATH, "/api/chat"])
def test_a_request_names_its_model(client: httpx.Client, path: str) -> None:
    response = client.post(path, json={"prompt": "a"})
    assert response.status_code == 400
    assert "you must provide a model parameter" in response.text


def test_the_default_tag_is_no_part_of_a_name(client: httpx.Client) -> None:
    reply = generate(client, model="fast:latest", options={"num_predict": 1})
    assert reply["model"] == "fast:latest"
    response = client.post("/v1/completions", json={"model": "fast:latest", "prompt": "a"})
    assert response.status_code == 404


def test_a_suffix_needs_a_model_that_fills(client: httpx.Client) -> None:
    assert "was not trained to fill in a middle" in refusal(client, suffix="b")


def test_an_empty_suffix_is_no_suffix(client: httpx.Client) -> None:
    assert generate(client, suffix="", options={"num_predict": 1})["response"]


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("template", {"template": "{{ .Prompt }}"}),
        ("images", {"images": ["aGk="]}),
        ("context", {"context": [1, 2]}),
        ("think", {"think": True}),
        ("think", {"think": "high"}),
        ("logprobs", {"logprobs": True}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("options.mirostat", {"options": {"mirostat": 2}}),
        ("options.tfs_z", {"options": {"tfs_z": 0.5}}),
        ("options.penalize_newline", {"options": {"penalize_newline": False}}),
        ("system", {"raw": True, "system": "b"}),
        ("system", {"suffix": "b", "system": "c"}),
        ("raw", {"suffix": "b", "raw": True}),
    ],
)
def test_what_would_mislead_if_ignored_is_refused(
    client: httpx.Client, field: str, body: dict[str, Any]
) -> None:
    assert f"'{field}'" in refusal(client, **body)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("prompt", {"prompt": 1}),
        ("stream", {"stream": "yes"}),
        ("format", {"format": "yaml"}),
        ("format", {"format": 1}),
        ("options", {"options": []}),
        ("options.temperature", {"options": {"temperature": -1}}),
        ("options.top_p", {"options": {"top_p": 2}}),
        ("options.num_predict", {"options": {"num_predict": -3}}),
        ("options.stop", {"options": {"stop": [1]}}),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    client: httpx.Client, field: str, body: dict[str, Any]
) -> None:
    assert f"'{field}'" in refusal(client, **body)


def test_a_schema_that_cannot_be_kept_is_the_formats_fault(client: httpx.Client) -> None:
    assert refusal(client, format={"type": "x"}).startswith('{"error":"format: ')


def test_null_and_neutral_values_pass(client: httpx.Client) -> None:
    names = ("suffix", "system", "template", "context", "images", "format", "think", "keep_alive")
    neutral = {
        "template": "",
        "context": [],
        "images": [],
        "format": "",
        "think": False,
        "keep_alive": "5m",
        "options": {"mirostat": 0, "tfs_z": 1, "num_ctx": 10**6, "num_gpu": 99, "top_k": None},
    }
    assert generate(client, **dict.fromkeys(names), options=None)["response"]
    assert generate(client, **neutral)["response"]


def test_a_prompt_longer_than_the_context_is_not_cut(client: httpx.Client) -> None:
    message = refusal(client, model="short", prompt="a" * 40, options={"num_ctx": 4096})
    assert "maximum context length is 32 tokens" in message


def test_a_failure_in_mid_stream_is_the_last_line(start_server: Any, make_model: Any) -> None:
    with (
        start_server(make_model("faulty", fail_after=4, step_seconds=0.1)) as server,
        server.client() as client,
    ):
        response = client.post(PATH, json={"model": "faulty", "prompt": "a", "raw": True})
        assert response.status_code == 200
        *pieces, failure = map(json.loads, response.text.splitlines())
        assert "".join(piece["response"] for piece in pieces) == "Grü"
        assert list(failure) == ["error"]
        assert isinstance(failure["error"], str)
