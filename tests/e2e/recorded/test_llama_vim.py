"""llama.vim: /infill, read by a regular expression before it is read as JSON."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.recorded.editor import BASE, INSTRUCT, MIDDLE, SUFFIX, ask
from tests.e2e.server import Server

RESPONSE_FIELDS = [
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
]
INFILL: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "def add(a, b):\n",
    "input_suffix": SUFFIX,
    "input_extra": [],
    "prompt": "    ",
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
    "response_fields": RESPONSE_FIELDS,
    "model": BASE,
}
EXTRA = [{"text": "value = 1\n", "time": [1769839, 221934], "filename": "values.py"}]
WARM_UP = INFILL | {
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": EXTRA,
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "samplers": [],
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
}
CONTENT = re.compile(r'"content"\s*:"')


def test_the_body_passes_the_test_before_it_is_read(server: Server) -> None:
    raw = ask(server, "/infill", INFILL).text

    assert raw.lstrip().startswith("{")
    assert CONTENT.search(raw), "a space after the colon hides the hint"


def test_the_middle_comes_back(server: Server) -> None:
    assert ask(server, "/infill", INFILL | {"top_k": 1}).json()["content"] == MIDDLE


def test_fields_of_the_response_are_named_by_their_paths(server: Server) -> None:
    reply = ask(server, "/infill", INFILL).json()

    assert set(reply) == set(RESPONSE_FIELDS)
    for name in RESPONSE_FIELDS[1:-2]:
        assert isinstance(reply[name], int | float), name
    assert reply["timings/predicted_n"] > 0
    assert reply["truncated"] is False


def test_other_files_go_before_the_place(server: Server) -> None:
    reply = ask(server, "/infill", INFILL | {"input_extra": EXTRA, "top_k": 1}).json()
    assert reply["content"] == MIDDLE


def test_a_warm_up_generates_nothing(server: Server) -> None:
    response = ask(server, "/infill", WARM_UP)
    assert response.json() == {}


def test_a_hint_after_a_warm_up_finds_its_files_cached(server: Server) -> None:
    extra = [{"text": "other = 2\n" * 20, "time": [1, 2], "filename": "other.py"}]
    ask(server, "/infill", WARM_UP | {"input_extra": extra})
    reply = ask(server, "/infill", INFILL | {"input_extra": extra}).json()

    assert reply["timings/prompt_n"] < 40, "only the place itself is new"


def test_speculation_goes_on_from_a_hint(server: Server) -> None:
    """As soon as a hint is shown, llama.vim asks for what follows it."""
    further = INFILL | {"prompt": f"    {MIDDLE}", "t_max_predict_ms": 1000}
    assert isinstance(ask(server, "/infill", further).json()["content"], str)


@pytest.mark.parametrize(
    "change",
    [
        {"input_prefix": None},
        {"input_suffix": None},
        {"input_extra": "a file"},
        {"input_extra": [{"filename": "a.py"}]},
        {"input_extra": [{"text": 7}]},
    ],
    ids=["no prefix", "no suffix", "no list", "no text", "text that is none"],
)
def test_a_malformed_place_is_refused(server: Server, change: dict[str, Any]) -> None:
    body = {name: value for name, value in (INFILL | change).items() if value is not None}
    response = httpx.post(f"{server.url}/infill", json=body, timeout=60)

    assert response.status_code == 400
    assert next(iter(change)) in response.text


def test_a_model_without_fim_says_so(server: Server) -> None:
    response = httpx.post(f"{server.url}/infill", json=INFILL | {"model": INSTRUCT}, timeout=60)

    assert response.status_code in (400, 501)
    assert response.json()["error"]["message"]
