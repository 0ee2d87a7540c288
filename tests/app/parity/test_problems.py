from typing import Any

import pytest

from codeserve.app.parity.comparison import Comparison, Parting, PromptDifference
from codeserve.app.parity.model_report import ModelReport, PromptResult
from codeserve.app.parity.problems import Conditions, problems
from codeserve.app.parity.prompts import PromptKind

MARGINS = {"near": 0.15, "far": 3.0, "ended": None}


def compared(difference: float, parting: str | None = None) -> Comparison:
    parted = parting and Parting(
        position=4,
        before=(),
        reference_goes_on=(),
        model_goes_on=(),
        choices=None,
        margin=MARGINS[parting],
    )
    return Comparison(
        parting=parted or None, differences=(0.0, -difference), divergences=(), same_likeliest=1
    )


def found(tolerance: float | None = None, **prompt: Any) -> list[str]:
    """The problems of a model that has answered one prompt."""
    result = PromptResult(prompt=3, kind=PromptKind.FIM, **prompt)
    model = ModelReport(name="m", is_reference=False, prompts=(result,))
    return list(problems(Conditions(max_tokens=9, tolerance=tolerance), [model]))


def test_nothing_is_judged_without_a_tolerance() -> None:
    assert found(comparison=compared(5.0, "far")) == []


@pytest.mark.parametrize(
    ("comparison", "problem"),
    [
        (compared(0.1), None),
        (compared(0.1, "near"), None),
        (compared(0.11), "log-probabilities differ by up to 0.11, more than 0.1"),
        (compared(0.1, "far"), "the texts part at token 4, and it is no near-tie"),
        (compared(0.1, "ended"), "the texts part at token 4, and it is no near-tie"),
    ],
)
def test_a_tolerance_judges_numbers_and_partings(
    comparison: Comparison, problem: str | None
) -> None:
    expected = [] if problem is None else [f"m: prompt 3 (fim): {problem}"]
    assert found(0.1, comparison=comparison) == expected


def test_a_seed_that_does_not_repeat_is_a_problem() -> None:
    assert found(seed_repeats=False) == ["m: prompt 3 (fim): the same seed gave other tokens"]
    assert found(seed_repeats=True) == []


def test_other_token_ids_come_first() -> None:
    difference = PromptDifference(
        position=7, reference_id=1, model_id=None, reference_token="a", model_token=None
    )
    first, second = found(prompt_difference=difference, error="no room")
    assert first == (
        "m: prompt 3 (fim): its token ids are not the reference's: at position 7 the end instead "
        "of 1 ('a')"
    )
    assert second == "m: prompt 3 (fim): no room"


def test_the_reference_is_not_held_to_the_tolerance() -> None:
    result = PromptResult(prompt=1, kind=PromptKind.CHAT, comparison=compared(1.0))
    reference = ModelReport(name="m", is_reference=True, prompts=(result,))
    assert list(problems(Conditions(max_tokens=9, tolerance=0.1), [reference])) == []
