from collections.abc import Iterator
from itertools import chain, pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.text.line_limits import LineLimits


def shown(limits: LineLimits, pieces: list[str]) -> str:
    text = ""
    for piece in pieces:
        text += limits.feed(piece)
        if limits.is_reached:
            return text
    return text + limits.finish()


def ticking(*seconds: float) -> Iterator[float]:
    return chain(seconds, repeat(seconds[-1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return 1\n    x\nelse", "return 1\n    x\n"),
        ("a\n\n    b\n  \n    c", "a\n\n    b\n  \n    c"),
        ("a\n    b\n  ", "a\n    b\n  "),
        ("a\n\t\t\t\tb\n", "a\n\t\t\t\tb\n"),
        ("  a", "  a"),
        ("a\r\n\r\nb", "a\r\n\r\n"),
    ],
)
def test_a_line_that_is_indented_less_ends_the_text(text: str, expected: str) -> None:
    assert shown(LineLimits(least_indent=4), [text]) == expected


@given(text=st.text("ab \t\n"), cuts=st.lists(st.integers(0, 40)), indent=st.integers(0, 3))
def test_it_does_not_matter_how_the_text_is_cut(text: str, cuts: list[int], indent: int) -> None:
    ends = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[start:end] for start, end in pairwise(ends)]
    whole = shown(LineLimits(least_indent=indent), [text])
    assert shown(LineLimits(least_indent=indent), pieces) == whole
    assert text.startswith(whole)


def test_without_limits_nothing_ends() -> None:
    assert shown(LineLimits(), ["a\n", "b\n"]) == "a\nb\n"


def test_the_time_ends_a_text_that_has_ended_a_line() -> None:
    limits = LineLimits(1.0, clock=ticking(0.0, 0.5, 1.5).__next__)
    assert shown(limits, ["a\n", "b", "c"]) == "a\nb"


def test_a_text_within_its_first_line_goes_on_to_its_end() -> None:
    limits = LineLimits(1.0, clock=ticking(0.0, 2.0).__next__)
    assert shown(limits, ["a", "b", "c\n", "d"]) == "abc\n"
