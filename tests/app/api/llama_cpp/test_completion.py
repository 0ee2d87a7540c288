import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

BODY: dict[str, Any] = {"model": "fast", "prompt": "a", "n_predict": 8}
CODE = "def add(a, b):\n"
CODE_IDS = [1551, 957, 7, 64, 11, 270, 1772, 185]
BOS_ID = 32013
MARKED = "<｜fim▁begin｜>def add(a, b):\n    <｜fim▁hole｜>\n    return total\n<｜fim▁end｜>"

TABBY: dict[str, Any] = {
    "seed": 17021836120163480000,
    "prompt": MARKED,
    "n_predict": 256,
    "temperature": 0.1,
    "stream": True,
    "penalty_last_n": 0,
    "presence_penalty": 0.0,
}
CONTINUE: dict[str, Any] = {
    "prompt": MARKED,
    "stream": True,
    "n_predict": 4096,
    "frequency_penalty": None,
    "presence_penalty": None,
    "min_p": None,
    "mirostat": None,
    "stop": ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "//", "```"],
    "top_k": None,
    "top_p": None,
    "temperature": 0.01,
}
TWINNY: dict[str, Any] = {
    "prompt": MARKED,
    "stream": True,
    "temperature": 0.2,
    "max_tokens": 512,
}
PROXY_AI: dict[str, Any] = {
    "prompt": f"#one.py\ndef one():\n    return 1\n\n{MARKED}",
    "n_predict": 128,
    "stream": False,
    "temperature": 0.1,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.05,
    "repeat_penalty": 1.0,
    "stop": ["<|EOT|>", "<｜end▁of▁sentence｜>"],
}


def complete(client: httpx.Client, body: dict[str, Any] = BODY, **changes: Any) -> Any:
    response = client.post("/completion", json={**body, **changes})
    assert response.status_code == 200, response.text
    return response.json()


def error_of(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = client.post("/completion", json={**BODY, **changes})
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def events(client: httpx.Client, body: dict[str, Any] = BODY, **changes: Any) -> Any:
    response = client.post("/completion", json={**body, **changes, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    frames = response.text.removesuffix("\n\n").split("\n\n")
    return [
        json.loads(frame.removeprefix("data: ")) for frame in frames if not frame.startswith(":")
    ]


def read(stream: Sequence[dict[str, Any]]) -> str:
    """As Tabby reads: each event has a string and a boolean, up to the one that stops."""
    text = ""
    for event in stream:
        assert isinstance(event["content"], str)
        assert isinstance(event["stop"], bool)
        text += event["content"]
    assert [event["stop"] for event in stream].index(True) == len(stream) - 1
    return text


@pytest.mark.parametrize("body", [TABBY, CONTINUE, TWINNY], ids=["Tabby", "Continue", "twinny"])
def test_editors_join_the_content_of_events(tiny: httpx.Client, body: dict[str, Any]) -> None:
    assert read(events(tiny, body)) == "total = a + b"


def test_proxy_ai_reads_one_object(tiny: httpx.Client) -> None:
    assert complete(tiny, PROXY_AI)["content"] == "total = a + b"


def test_a_result_has_llama_cpps_shape(client: httpx.Client) -> None:
    raw = client.post("/completion", json={**BODY, "stop": "ße"}).text
    assert re.search(r'"content"\s*:"Gr', raw)
    result = json.loads(raw)
    assert result.pop("generation_settings")["n_predict"] == 8
    assert result.pop("timings")["predicted_n"] == 7
    assert result == {
        "index": 0,
        "content": "Grü",
        "tokens": [],
        "id_slot": -1,
        "stop": True,
        "model": "fast",
        "tokens_predicted": 7,
        "tokens_evaluated": 2,
        "prompt": "<bos>a",
        "has_new_line": False,
        "truncated": False,
        "stop_type": "word",
        "stopping_word": "ße",
        "tokens_cached": 9,
    }


def test_timings_are_measured(make_model: Any, start_server: Any) -> None:
    slow = make_model("slow", step_seconds=0.02)
    with start_server(slow) as server, server.client() as client:
        timings = complete(client, {"prompt": "a", "n_predict": 11})["timings"]
    assert (timings["cache_n"] + timings["prompt_n"], timings["predicted_n"]) == (2, 11)
    assert timings["prompt_ms"] + timings["predicted_ms"] >= 11 * 20
    assert timings["prompt_per_second"] == pytest.approx(
        1000 * timings["prompt_n"] / timings["prompt_ms"]
    )
    assert timings["predicted_per_token_ms"] == pytest.approx(timings["predicted_ms"] / 11)


def test_llama_cpps_defaults_are_in_effect(client: httpx.Client) -> None:
    settings = complete(client)["generation_settings"]
    defaults = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "typical_p": 1}
    assert settings | defaults == settings
    assert settings["repeat_penalty"] == 1
    assert settings["seed"] == -1


@pytest.mark.parametrize("limit", [{"n_predict": -1}, {"n_predict": None}, {}])
def test_a_text_goes_to_the_end_of_the_context(client: httpx.Client, limit: dict[str, Any]) -> None:
    result = complete(client, {"model": "short", "prompt": "abc", **limit})
    assert (result["tokens_evaluated"], result["tokens_predicted"]) == (4, 28)
    assert (result["stop_type"], result["truncated"]) == ("limit", True)


def test_a_prompt_beyond_the_context_is_a_400(client: httpx.Client) -> None:
    assert error_of(client, model="short", prompt="a" * 40)["code"] == "context_length_exceeded"


def test_max_tokens_is_another_name_of_n_predict(client: httpx.Client) -> None:
    body = {"model": "fast", "prompt": "a", "max_tokens": 3}
    assert complete(client, body)["tokens_predicted"] == 3
    assert complete(client, {**body, "n_predict": 2})["tokens_predicted"] == 2


@pytest.mark.parametrize(
    "prompt",
    [
        CODE,
        [BOS_ID, *CODE_IDS],
        [BOS_ID, CODE],
        ["def", *CODE_IDS[1:]],
        ["def add", *CODE_IDS[2:]],
        [[BOS_ID, *CODE_IDS]],
        {"prompt_string": CODE},
        [{"prompt_string": CODE, "multimodal_data": []}],
    ],
)
def test_all_forms_of_a_prompt_mean_the_same(tiny: httpx.Client, prompt: object) -> None:
    result = complete(tiny, {"prompt": prompt, "temperature": 0, "n_predict": 16})
    assert result["prompt"] == "<｜begin▁of▁sentence｜>" + CODE
    assert result["tokens_evaluated"] == 1 + len(CODE_IDS)
    assert result["content"] == "    return a + b\n"


@pytest.mark.parametrize(
    ("prompt", "count"),
    [(["ab", "c"], 2), ([[97], [98, "c"], "d", {"prompt_string": "e"}], 4), (["a"], 1)],
)
def test_many_prompts_get_an_array(client: httpx.Client, prompt: object, count: int) -> None:
    results = complete(client, prompt=prompt, n_cmpl=2)
    assert [result["index"] for result in results] == [*range(2 * count)]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ([], "empty array"),
        ([[]], "empty array"),
        ([1, 2.5], "element 0"),
        ([1, -1], "-1"),
        ([2**40], str(2**40)),
        ([300], "300 does not exist"),
        ({"text": "a"}, "prompt_string"),
        ({"prompt_string": "a", "multimodal_data": ["b"]}, "multimodal_data"),
        (5, "an integer"),
        (None, "null"),
    ],
)
def test_no_other_prompt_is_taken(client: httpx.Client, prompt: object, told: str) -> None:
    error = error_of(client, prompt=prompt)
    assert error["param"] == "prompt"
    assert told in error["message"]


def test_both_paths_speak_the_native_dialect(client: httpx.Client) -> None:
    assert "content" in client.post("/completions", json=BODY).json()


def test_a_stream_has_tokens_and_ends_without_done(client: httpx.Client) -> None:
    *pieces, end = events(client, timings_per_token=True)
    assert "".join(piece["content"] for piece in pieces) == "Grüße "
    assert bytes(token for piece in pieces for token in piece["tokens"]).decode() == "Grüße "
    assert pieces[-1]["timings"]["predicted_n"] == end["timings"]["predicted_n"] == 8
    assert (end["content"], end["tokens"], end["stop"]) == ("", [], True)
    assert end["tokens_predicted"] == 8


def test_choices_of_a_stream_are_told_apart(client: httpx.Client) -> None:
    stream = events(client, n_cmpl=3)
    for index in range(3):
        own = [event for event in stream if event["index"] == index]
        assert "".join(event["content"] for event in own) == "Grüße "
        assert [event["stop"] for event in own].count(True) == 1


def test_a_stream_that_breaks_off_says_so(make_model: Any, start_server: Any) -> None:
    weak = make_model("weak", fail_after=5, step_seconds=0.05)
    with start_server(weak) as server, server.client() as client:
        stream = events(client, {"prompt": "a"})
    assert "".join(event.get("content", "") for event in stream) == "Grü"
    assert stream[-1]["error"]["type"] == "server_error"


def test_tokens_are_returned_on_demand(client: httpx.Client) -> None:
    assert bytes(complete(client, return_tokens=True)["tokens"]).decode() == "Grüße "


def test_response_fields_are_flat(client: httpx.Client) -> None:
    fields = ["content", "generation_settings/n_predict", "absent", "prompt/deeper"]
    flat = {"content": "Grüße ", "generation_settings/n_predict": 8}
    assert complete(client, response_fields=fields) == flat
    assert complete(client, response_fields=[""]) == {}
    assert complete(client, response_fields=["prompt"]) == {"prompt": "<bos>a"}


def test_a_prompt_sent_again_is_cached(tiny: httpx.Client) -> None:
    body = {"prompt": CODE * 4, "n_predict": 1}
    complete(tiny, body)
    assert complete(tiny, body)["timings"]["prompt_n"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mirostat", 2),
        ("dry_multiplier", 0.8),
        ("xtc_probability", 0.1),
        ("dynatemp_range", 0.5),
        ("top_n_sigma", 1.0),
        ("lora", [{"id": 0, "scale": 0.5}]),
        ("post_sampling_probs", True),
    ],
)
def test_what_would_change_the_text_is_refused_by_name(
    client: httpx.Client, field: str, value: object
) -> None:
    error = error_of(client, **{field: value})
    assert (error["param"], error["code"]) == (field, "unsupported_parameter")


def test_what_changes_nothing_passes(client: httpx.Client) -> None:
    neutral = {
        "mirostat": 0,
        "mirostat_tau": 5,
        "mirostat_eta": 0.1,
        "dry_multiplier": 0.0,
        "dry_base": 1.75,
        "xtc_probability": 0,
        "xtc_threshold": 0.1,
        "dynatemp_range": 0,
        "top_n_sigma": -1,
        "lora": [],
        "id_slot": -1,
        "n_keep": 0,
        "n_discard": 0,
        "min_keep": 0,
        "t_max_prompt_ms": 1,
        "repeat_last_n": 64,
        "n_cache_reuse": 0,
        "sse_ping_interval": 5,
        "return_progress": False,
        "post_sampling_probs": False,
    }
    assert complete(client, BODY | neutral)["content"] == "Grüße "


def test_null_stands_for_every_default(client: httpx.Client) -> None:
    names = (
        *("n_cmpl", "n", "stream", "stop", "ignore_eos", "seed", "samplers", "top_k"),
        *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "repeat_last_n"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "grammar", "json_schema"),
        *("n_probs", "n_indent", "t_max_predict_ms", "cache_prompt", "return_tokens", "mirostat"),
        *("timings_per_token", "response_fields"),
    )
    assert complete(client, BODY | dict.fromkeys(names))["content"] == "Grüße "


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("temperature", 1e300),
        ("top_k", 1.5),
        ("top_p", 2),
        ("n_predict", -3),
        ("n_probs", -1),
        ("repeat_penalty", 0),
        ("stop", [1]),
        ("samplers", [1]),
        ("response_fields", "content"),
        ("n_cmpl", 0),
        ("logit_bias", [[1]]),
        ("logit_bias", [[999, 1]]),
        ("logit_bias", {"1": True}),
        ("logit_bias", {"1": "a"}),
        ("logit_bias", 5),
    ],
)
def test_wrong_values_are_refused_by_name(client: httpx.Client, field: str, value: object) -> None:
    assert error_of(client, **{field: value})["param"] == field


@pytest.mark.parametrize("form", [{"grammar": "no grammar"}, {"json_schema": {"type": "x"}}])
def test_a_form_that_cannot_be_kept_is_named(client: httpx.Client, form: dict[str, Any]) -> None:
    error = error_of(client, **form)
    assert (error["param"], error["code"]) == (next(iter(form)), "invalid_grammar")


def test_grammar_and_schema_exclude_each_other(client: httpx.Client) -> None:
    error = error_of(client, grammar='root ::= "a"', json_schema={"type": "object"})
    assert error["param"] == "json_schema"


def test_a_banned_token_is_not_chosen(tiny: httpx.Client) -> None:
    body = {"prompt": CODE, "temperature": 0, "n_predict": 16, "return_tokens": True}
    [first, *_] = complete(tiny, body)["tokens"]
    for bias in ([[first, False]], {str(first): False}, [["   ", False]]):
        assert complete(tiny, body, logit_bias=bias)["tokens"][0] != first


def test_a_text_stands_for_its_tokens(tiny: httpx.Client) -> None:
    body = {"prompt": CODE, "temperature": 0, "n_predict": 1, "logit_bias": [[" return", 2]]}
    [entry] = complete(tiny, body)["generation_settings"]["logit_bias"]
    assert entry == {"token": 967, "bias": 2.0}
