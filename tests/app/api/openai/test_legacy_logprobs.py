import json
import math

import pytest

from codeserve.app.api.openai.legacy_logprobs import TokenLog, legacy_logprobs
from codeserve.engines.types import PromptReport
from tests.app.api.openai.tokens import scored, token

BOS = 256


def log(alternatives: int = 2, *, shows_ids: bool = False, shows_control: bool = False) -> TokenLog:
    return TokenLog(alternatives, shows_ids=shows_ids, shows_control=shows_control)


def test_each_token_has_an_entry_in_four_arrays() -> None:
    first = scored(token("def", -0.5, 1), token("def", -0.5, 1), token(" x", -1.5, 2))
    second = scored(token(" f", -3.0, 3), token(" g", -0.25, 4), token(" h", -2.0, 5), rank=3)
    assert legacy_logprobs(log().generated([first, second])) == {
        "tokens": ["def", " f"],
        "token_logprobs": [-0.5, -3.0],
        "top_logprobs": [{"def": -0.5, " x": -1.5}, {" g": -0.25, " h": -2.0, " f": -3.0}],
        "text_offset": [0, 3],
    }


def test_without_alternatives_the_chosen_token_is_the_only_one() -> None:
    entries = legacy_logprobs(log(0).generated([scored(token("a"), token("b", -0.1, 2), rank=2)]))
    assert entries["top_logprobs"] == [{"a": -1.0}]


def test_of_tokens_with_one_name_the_chosen_one_is_kept_then_the_likeliest() -> None:
    alike = [token("a", -0.1, 1), token("b", -0.2, 2), token("b", -0.3, 3)]
    chosen = scored(token("a", -0.4, 4), *alike, rank=4)
    assert legacy_logprobs(log(3).generated([chosen]))["top_logprobs"] == [{"a": -0.4, "b": -0.2}]


@pytest.mark.parametrize("logprob", [-math.inf, math.nan, -1e30])
def test_a_token_that_cannot_be_has_a_finite_number(logprob: float) -> None:
    entries = legacy_logprobs(log().generated([scored(token("a", logprob), token("b", logprob))]))
    assert entries["token_logprobs"] == [-9999.0]
    assert entries["top_logprobs"] == [{"b": -9999.0, "a": -9999.0}]
    json.dumps(entries, allow_nan=False)


def test_the_tokens_of_a_shared_character_begin_where_it_does() -> None:
    pieces = [token(piece) for piece in (b"a", b" \xf0\x9f", b"\x99", b"\x82", b"b")]
    entries = legacy_logprobs(log().generated(map(scored, pieces)))
    assert entries["tokens"] == ["a", r"bytes: \xf0\x9f", r"bytes:\x99", r"bytes:\x82", "b"]
    assert entries["text_offset"] == [0, 1, 2, 2, 3]
    assert "a 🙂b"[3] == "b"


def test_offsets_continue_from_chunk_to_chunk() -> None:
    tokens = log()
    chunks = [list(tokens.generated([scored(token(text))])) for text in ("ab", "ü", "c")]
    assert [entry.offset for (entry,) in chunks] == [0, 2, 3]


def test_tokens_may_be_named_by_their_ids() -> None:
    entries = legacy_logprobs(
        log(shows_ids=True).generated([scored(token("a", -1.0, 7), token("b", -2.0, 8))])
    )
    assert entries["tokens"] == ["token_id:7"]
    assert entries["top_logprobs"] == [{"token_id:8": -2.0, "token_id:7": -1.0}]


@pytest.mark.parametrize(("shows_control", "offset"), [(False, 1), (True, 6)])
def test_a_control_token_takes_the_place_that_it_has_in_the_text(
    shows_control: bool, offset: int
) -> None:
    tokens = map(scored, (token("a"), token("<bos>", is_text=False), token("b")))
    entries = legacy_logprobs(log(shows_control=shows_control).generated(tokens))
    assert entries["text_offset"] == [0, 1, offset]


def test_an_echoed_prompt_comes_first_and_its_first_token_was_not_predicted() -> None:
    report = PromptReport(
        token_ids=(BOS, 97, 98),
        text="ab",
        spellings=(b"<bos>", b"a", b"b"),
        logprobs=(
            None,
            scored(token("a", -2.0, 97), token("x", -0.5, 120), token("y", -0.6, 121), rank=9),
            scored(token("b", -0.1, 98), token("b", -0.1, 98)),
        ),
    )
    tokens = log(1)
    assert legacy_logprobs(tokens.prompt(report, BOS)) == {
        "tokens": ["<bos>", "a", "b"],
        "token_logprobs": [None, -2.0, -0.1],
        "top_logprobs": [None, {"x": -0.5, "a": -2.0}, {"b": -0.1}],
        "text_offset": [0, 0, 1],
    }
    assert legacy_logprobs(tokens.generated([scored(token("c"))]))["text_offset"] == [2]


def test_a_prompt_of_ids_begins_with_the_first_given_one() -> None:
    report = PromptReport(
        token_ids=(97, 98), text="ab", spellings=(b"a", b"b"), logprobs=(None, scored(token("b")))
    )
    entries = legacy_logprobs(log().prompt(report, BOS))
    assert entries["tokens"] == ["a", "b"]
    assert entries["token_logprobs"][0] is None
    assert entries["text_offset"] == [0, 1]


def test_a_prompt_that_ends_within_a_character_does_not_shift_the_answer() -> None:
    report = PromptReport(
        token_ids=(97, 195),
        text="a�",
        spellings=(b"a", b"\xc3"),
        logprobs=(None, scored(token(b"\xc3"))),
    )
    tokens = log()
    list(tokens.prompt(report, BOS))
    assert [entry.offset for entry in tokens.generated([scored(token("b"))])] == [2]
