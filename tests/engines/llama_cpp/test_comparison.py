import itertools

import pytest

from codeserve.engines.llama_cpp import comparison
from codeserve.engines.llama_cpp.comparison import Timer


def per_token(milliseconds: float) -> Timer:
    return lambda tokens: milliseconds * tokens


def disturbed(milliseconds: float) -> Timer:
    """Every third step takes ten times as long."""
    factors = itertools.cycle((1, 10, 1))
    return lambda tokens: milliseconds * tokens * next(factors)


def test_candidates_are_compared_by_their_fastest_times() -> None:
    times = comparison.fastest([disturbed(2), per_token(3)], (1, 4), seconds=60)
    assert times == [[2, 8], [3, 12]]


def test_candidates_take_turns() -> None:
    order: list[str] = []

    def named(name: str) -> Timer:
        def timer(tokens: int) -> float:
            order.append(name)
            return 1.0

        return timer

    comparison.fastest([named("a"), named("b")], (1, 2), seconds=60)
    assert order == ["a", "b"] * (len(order) // 2)


def test_sizes_that_take_too_long_are_left_out_but_never_the_smallest() -> None:
    slow = per_token(10_000)
    assert comparison.fastest([slow], (1, 4, 32), seconds=1) == [[10_000]]
    assert comparison.fastest([per_token(100)], (1, 4, 32), seconds=2) == [[100, 400]]


def test_costs_are_relative_to_the_first_candidate() -> None:
    assert comparison.costs([[2, 8], [4, 16], [1, 4]]) == pytest.approx([1, 2, 0.5])
    assert comparison.costs([[2, 8], [1]]) == pytest.approx([1, 0.5])


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [([1, 0.96], 0), ([1, 0.94], 1), ([1, 1.2], 0), ([1, 0.9, 0.8], 2), ([1], 0)],
)
def test_the_default_stays_unless_another_is_clearly_cheaper(
    costs: list[float], chosen: int
) -> None:
    assert comparison.choose(costs, margin=0.05) == chosen


def test_a_curve_has_the_median_time_of_every_size() -> None:
    medians, largest = comparison.curve(per_token(2), (1, 2, 4), seconds=60)
    assert (medians, largest) == ([2, 4, 8], 4)


def test_steps_that_take_too_long_are_estimated_from_the_largest_measured() -> None:
    medians, largest = comparison.curve(per_token(100), (1, 2, 64, 128), seconds=1)
    assert (medians, largest) == ([100, 200, 6400, 12800], 2)


def test_a_curve_in_parts_is_that_of_the_part_beyond_it() -> None:
    curve = [(1, 1.0), (64, 10.0), (128, 30.0), (256, 80.0)]
    assert comparison.in_parts(curve, 64) == [(1, 1.0), (64, 10.0), (128, 20.0), (256, 40.0)]
