"""llama.vim and llama.vscode, with their own bodies and what they do with the answers."""

import json
import re
from typing import Any

import httpx
import pytest

PREFIX = "def add(a, b):\n"
LINE = "    "
SUFFIX = "\n    return total\n"
MIDDLE = "total = a + b"

CHUNKS = [
    {"text": "def one():\n    return 1\n", "time": [1763800000, 123456], "filename": "one.py"},
    {"text": "def two():\n    return 2\n", "time": [1763800001, 654321], "filename": "two.py"},
]

LLAMA_VIM: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": PREFIX,
    "input_suffix": SUFFIX,
    "input_extra": CHUNKS,
    "prompt": LINE,
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.90,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1000,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
    "model": "",
}
LLAMA_VIM_WARM_UP: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": CHUNKS,
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "samplers": [],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
}
LLAMA_VSCODE: dict[str, Any] = {
    "input_prefix": PREFIX,
    "input_suffix": SUFFIX,
    "input_extra": CHUNKS,
    "prompt": LINE,
    "n_predict": 128,
    "n_cmpl": 3,
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "n_indent": 4,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 500,
}
LLAMA_VSCODE_WARM_UP: dict[str, Any] = {
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": CHUNKS,
    "prompt": "",
    "n_predict": 0,
    "samplers": [],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 1,
}


def infill(client: httpx.Client, body: dict[str, Any], **changes: Any) -> Any:
    response = client.post("/infill", json={**body, **changes})
    assert response.status_code == 200, response.text
    return response.json()


def error_of(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    response = client.post("/infill", json={**LLAMA_VSCODE, **changes})
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error


def test_llama_vim_finds_the_content_in_the_raw_body(tiny: httpx.Client) -> None:
    """It tests ``\\v"content"\\s*:"`` on the text, then reads flat fields by their paths."""
    raw = tiny.post("/infill", json=LLAMA_VIM).text
    assert re.search(r'"content"\s*:"', raw)
    assert "\n" not in raw
    answer = json.loads(raw)
    assert list(answer) == LLAMA_VIM["response_fields"]
    assert answer["content"] == MIDDLE
    assert answer["truncated"] is False
    for field in [*LLAMA_VIM["response_fields"][1:-2], "tokens_cached"]:
        assert isinstance(answer[field], int | float)
        assert answer[field] > 0, field


def test_llama_vscode_takes_the_first_of_three(tiny: httpx.Client) -> None:
    answers = infill(tiny, LLAMA_VSCODE)
    assert [answer["index"] for answer in answers] == [0, 1, 2]
    assert [answer["content"] for answer in answers] == [MIDDLE] * 3
    assert answers[0]["timings"]["predicted_n"] == 6
    assert answers[0]["generation_settings"]["n_ctx"] == 512
    assert answers[0]["tokens_cached"] == answers[0]["tokens_evaluated"] + 6


@pytest.mark.parametrize("changes", [{"n_cmpl": 1}, {"n_cmpl": None}, {"n_cmpl": None, "n": 1}])
def test_one_completion_is_an_object(tiny: httpx.Client, changes: dict[str, Any]) -> None:
    assert infill(tiny, LLAMA_VSCODE, **changes)["content"] == MIDDLE


def test_the_prompt_is_bos_files_prefix_line_suffix(tiny: httpx.Client) -> None:
    answer = infill(tiny, LLAMA_VSCODE, n_cmpl=1)
    assert answer["prompt"] == (
        "<｜begin▁of▁sentence｜>"
        "#one.py\ndef one():\n    return 1\n\n"
        "#two.py\ndef two():\n    return 2\n\n"
        f"<｜fim▁begin｜>{PREFIX}{LINE}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>"
    )


def test_markers_typed_in_a_file_are_text(tiny: httpx.Client) -> None:
    plain = infill(tiny, LLAMA_VSCODE, n_cmpl=1, input_extra=None)
    typed = infill(tiny, LLAMA_VSCODE, n_cmpl=1, input_extra=None, prompt="    # <｜fim▁hole｜>\n")
    assert typed["tokens_evaluated"] > plain["tokens_evaluated"] + 8


@pytest.mark.parametrize("body", [LLAMA_VIM_WARM_UP, LLAMA_VSCODE_WARM_UP], ids=["vim", "vscode"])
def test_a_warm_up_computes_the_context_of_the_next_request(
    tiny: httpx.Client, body: dict[str, Any]
) -> None:
    name = f"warm-{len(body)}.py"
    chunks = [{"text": f"value_{n} = {n}\n", "filename": name} for n in range(12)]
    context = "".join(f"#{name}\n{chunk['text']}\n" for chunk in chunks)
    context_tokens = len(tiny.post("/tokenize", json={"content": context}).json()["tokens"])

    answer = infill(tiny, body, input_extra=chunks)
    assert answer == {} if "response_fields" in body else answer["content"] == ""

    timings = infill(tiny, LLAMA_VSCODE, input_extra=chunks, n_cmpl=1)["timings"]
    assert timings["cache_n"] >= 1 + context_tokens


def test_a_warm_up_shows_nothing(tiny: httpx.Client) -> None:
    answer = infill(tiny, LLAMA_VSCODE_WARM_UP, return_tokens=True)
    assert (answer["content"], answer["tokens"]) == ("", [])
    assert (answer["stop_type"], answer["tokens_predicted"]) == ("limit", 0)
    assert answer["tokens_evaluated"] == answer["tokens_cached"] > 20


def test_every_event_of_a_stream_has_content_and_stop(tiny: httpx.Client) -> None:
    response = tiny.post("/infill", json={**LLAMA_VSCODE, "n_cmpl": 1, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    frames = response.text.removesuffix("\n\n").split("\n\n")
    events = [json.loads(frame.removeprefix("data: ")) for frame in frames]
    assert "".join(event["content"] for event in events) == MIDDLE
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["stop_type"] == "eos"


def test_missing_paths_are_left_out(tiny: httpx.Client) -> None:
    fields = ["content", "timings/nothing", "content/deeper", "stop_type"]
    answer = infill(tiny, LLAMA_VIM, response_fields=fields)
    assert answer == {"content": MIDDLE, "stop_type": "eos"}


def test_a_line_that_is_indented_less_ends_the_text(tiny: httpx.Client) -> None:
    body = {"input_prefix": "", "input_suffix": "", "ignore_eos": True, "n_predict": 60}
    free = infill(tiny, body, temperature=0)["content"]
    bound = infill(tiny, body, temperature=0, n_indent=4)["content"]
    assert len(bound) < len(free)
    assert all(not line or line.startswith("    ") for line in bound.split("\n")[1:])


def test_the_time_for_a_line_ends_the_text_after_it(tiny: httpx.Client) -> None:
    body = {"input_prefix": "", "input_suffix": "", "ignore_eos": True, "temperature": 0}
    answer = infill(tiny, body, n_predict=200, t_max_predict_ms=1)
    assert answer["has_new_line"]
    assert answer["tokens_predicted"] < 200
    assert answer["stop_type"] == "limit"


def test_too_many_files_lose_the_oldest_and_say_so(tiny: httpx.Client) -> None:
    chunks = [{"text": f"x = {n}\n" * 20, "filename": f"f{n}.py"} for n in range(8)]
    answer = infill(tiny, LLAMA_VSCODE, n_cmpl=1, input_extra=chunks)
    shown = re.findall(r"#(f\d)\.py", answer["prompt"])
    assert answer["truncated"] is True
    assert 0 < len(shown) < 8
    assert shown == [f"f{n}" for n in range(8)][-len(shown) :]
    assert answer["prompt"].startswith(f"<｜begin▁of▁sentence｜>#{shown[0]}.py\nx = ")
    assert answer["prompt"].endswith(f"{PREFIX}{LINE}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>")


def test_too_long_a_file_is_cut_around_the_cursor_and_says_so(tiny: httpx.Client) -> None:
    before = "".join(f"a{n} = {n}\n" for n in range(300))
    after = "".join(f"b{n} = {n}\n" for n in range(300))
    body = {"input_prefix": before, "input_suffix": after, "input_extra": CHUNKS, "n_predict": 8}
    answer = infill(tiny, body)
    prefix, suffix = answer["prompt"].split("<｜fim▁hole｜>")
    assert answer["truncated"] is True
    assert prefix.endswith("a299 = 299\n")
    assert suffix.startswith("b0 = 0\n")
    prefix_tokens, suffix_tokens = (
        len(tiny.post("/tokenize", json={"content": text}).json()["tokens"])
        for text in (prefix, suffix)
    )
    assert suffix_tokens == pytest.approx((prefix_tokens + suffix_tokens) / 4, abs=3)
    assert answer["tokens_evaluated"] == 512 - 8


def test_a_warm_up_with_too_much_is_cut_as_well(tiny: httpx.Client) -> None:
    chunks = [{"text": f"x = {n}\n" * 20, "filename": f"f{n}.py"} for n in range(8)]
    answer = infill(tiny, LLAMA_VSCODE_WARM_UP, input_extra=chunks)
    assert (answer["content"], answer["truncated"]) == ("", True)


def test_a_short_suffix_leaves_its_room_to_the_prefix(tiny: httpx.Client) -> None:
    before = "".join(f"a{n} = {n}\n" for n in range(300))
    answer = infill(tiny, {"input_prefix": before, "input_suffix": SUFFIX, "n_predict": 8})
    assert answer["prompt"].endswith(f"a299 = 299\n<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>")
    assert answer["tokens_evaluated"] == 512 - 8


def test_what_fits_is_not_cut_although_it_has_many_bytes(tiny: httpx.Client) -> None:
    answer = infill(tiny, LLAMA_VSCODE, n_cmpl=1, input_prefix=" " * 600 + PREFIX)
    assert answer["truncated"] is False
    assert " " * 600 + PREFIX in answer["prompt"]


def test_without_a_model_the_first_that_fills_is_taken(tiny: httpx.Client) -> None:
    assert infill(tiny, LLAMA_VSCODE, n_cmpl=1)["model"] == "base"
    assert infill(tiny, LLAMA_VSCODE, n_cmpl=1, model="base")["model"] == "base"


def test_a_model_that_does_not_fill_is_a_400(tiny: httpx.Client) -> None:
    error = error_of(tiny, model="instruct")
    assert (error["param"], error["code"]) == ("model", "fim_not_supported")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input_prefix": None}, "input_prefix"),
        ({"input_suffix": 5}, "input_suffix"),
        ({"input_extra": {"text": "a"}}, "input_extra"),
        ({"input_extra": [{"filename": "a.py"}]}, "input_extra[0].text"),
        ({"input_extra": [{"text": 1}]}, "input_extra[0].text"),
        ({"prompt": ["a"]}, "prompt"),
    ],
)
def test_what_is_malformed_is_named(
    tiny: httpx.Client, changes: dict[str, Any], param: str
) -> None:
    assert error_of(tiny, **changes)["param"] == param


@pytest.mark.parametrize("name", ["input_prefix", "input_suffix"])
def test_prefix_and_suffix_are_required(tiny: httpx.Client, name: str) -> None:
    body = {key: value for key, value in LLAMA_VIM.items() if key != name}
    response = tiny.post("/infill", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == f"Missing required parameter: '{name}'."
