import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.llama_cpp.long_runs import LIMIT, pieces

runs = st.tuples(st.sampled_from(["a", " ", "=", "ab;", "é ", "\n"]), st.integers(1, 3 * LIMIT))


@given(parts=st.lists(runs, max_size=4))
def test_nothing_is_lost_and_no_run_is_too_long(parts: list[tuple[str, int]]) -> None:
    text = "".join(unit * count for unit, count in parts)
    cut = list(pieces(text))
    assert "".join(cut) == text
    for piece in cut:
        for kind in (str.isspace, lambda character: not character.isspace()):
            run = "".join(character if kind(character) else "\0" for character in piece)
            assert max(map(len, run.split("\0"))) <= LIMIT


def test_ordinary_text_is_one_piece() -> None:
    text = "def f(x):\n    return x\n" * 10_000
    assert list(pieces(text)) == [text]


def test_a_long_line_without_spaces_is_cut_at_the_end_of_a_word() -> None:
    cut = list(pieces("word;" * LIMIT))
    assert len(cut) > 1
    assert all(piece.endswith("word") for piece in cut[:-1])


@pytest.mark.parametrize("unit", ["a", " "])
def test_a_run_without_words_is_cut_at_the_limit(unit: str) -> None:
    assert [len(piece) for piece in pieces(unit * (2 * LIMIT + 1))] == [LIMIT, LIMIT, 1]
