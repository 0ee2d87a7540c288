"""Each filter beside what it is defined as, written down without care for speed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codeserve.engines.batching import filters

TINY = 1e-4
"""Sums closer than that to a limit may be on either side of it in float32."""

eighths = st.integers(-80, 0).map(lambda n: n / 8)
logits = st.lists(eighths | st.just(-math.inf), max_size=40).map(lambda xs: [*xs, 0.0])
shares = st.floats(0, 0.999)


def probabilities(logits: list[float]) -> list[float]:
    weights = [math.exp(x) for x in logits]
    return [w / sum(weights) for w in weights]


def until(share: float, order: list[int], chances: list[float]) -> list[int]:
    """Where the first of ``order`` are that have ``share`` together."""
    together, kept = 0.0, []
    for place in order:
        kept.append(place)
        together += chances[place]
        assume(abs(together - share) > TINY)
        if together >= share:
            break
    return sorted(kept)


def places(filtered: Any) -> list[int]:
    assert list(filtered) == sorted(filtered)
    return [int(place) for place in filtered]


def array(values: list[float]) -> Any:
    return np.array(values, np.float32)


@given(keys=st.lists(st.integers(0, 30), min_size=1, max_size=400), count=st.integers(1, 410))
def test_the_largest_are_the_first_of_a_stable_sort(keys: list[int], count: int) -> None:
    expected = sorted(sorted(range(len(keys)), key=lambda i: -keys[i])[:count])
    assert places(filters.largest(np.array(keys, np.float32), count)) == expected


@pytest.mark.parametrize("size", [63, 64, 65, 2560, 32_256, 102_400])
@pytest.mark.parametrize("count", [1, 2, 40, 500, 5000])
@pytest.mark.parametrize("ties", [False, True])
def test_the_largest_of_a_whole_vocabulary(size: int, count: int, ties: bool) -> None:
    keys = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    if ties:
        keys = np.round(keys)
    keys[::3] = -np.inf
    expected = np.sort(np.argsort(-keys, kind="stable")[:count])
    assert np.array_equal(filters.largest(keys, count), expected)


@given(logits=logits, share=shares)
def test_top_p_keeps_the_likeliest_that_reach_its_share(logits: list[float], share: float) -> None:
    chances = probabilities(logits)
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    expected = until(share, order, chances)
    assert places(filters.top_p(array(logits), share)) == expected


@given(logits=logits, share=shares)
def test_typical_p_keeps_the_least_surprising_surprises(logits: list[float], share: float) -> None:
    chances = probabilities(logits)
    entropy = -sum(p * math.log(p) for p in chances if p)
    distances = [abs(-math.log(p) - entropy) if p else math.inf for p in chances]
    order = sorted(range(len(logits)), key=lambda i: (round(distances[i], 9), i))
    expected = until(share, order, chances)
    rest = set(range(len(logits))) - set(expected)
    gaps = (abs(distances[i] - distances[j]) for i in expected for j in rest)
    same = {logits[i] for i in expected} & {logits[j] for j in rest}
    assume(same or all(gap > TINY for gap in gaps))
    assume(not same or len({round(distances[i], 3) for i in order}) == len({*logits}))
    assert places(filters.typical_p(array(logits), share)) == expected


@given(logits=logits, share=st.floats(0.001, 1))
def test_min_p_is_relative_to_the_likeliest(logits: list[float], share: float) -> None:
    assume(all(abs(x - math.log(share)) > TINY for x in logits if x < 0))
    expected = [i for i, x in enumerate(logits) if math.exp(x) >= share]
    assert places(filters.min_p(array(logits), share)) == expected


def test_min_p_is_relative_to_the_likeliest_of_those_that_are_left() -> None:
    assert places(filters.min_p(array([-2.0, -3.0, -5.0]), 0.2)) == [0, 1]


@pytest.mark.parametrize("size", [1, 300, 50_000])
def test_equal_logits_are_kept_from_the_first_on(size: int) -> None:
    same = np.zeros(size, np.float32)
    expected = list(range(math.ceil(size * 0.5)))
    assert places(filters.top_p(same, 0.4999)) == expected[: math.ceil(size * 0.4999)]
    assert places(filters.typical_p(same, 0.4999)) == expected[: math.ceil(size * 0.4999)]
    assert places(filters.largest(same, max(1, size // 2))) == list(range(max(1, size // 2)))


@pytest.mark.parametrize("share", [0.0, 1e-9, 0.5, 1 - 1e-9, 1 - 1e-16])
@pytest.mark.parametrize("of", [filters.top_p, filters.typical_p])
def test_one_token_remains_and_none_comes_back(of: Any, share: float) -> None:
    only = np.full(1000, -np.inf, np.float32)
    only[417] = 0
    kept = of(only, share)
    assert 417 in kept
    row = np.random.default_rng(1).standard_normal(50_000).astype(np.float32) * 5
    row -= row.max()
    row[row < -9] = -np.inf
    kept = of(row, share)
    assert np.count_nonzero(np.isfinite(row[kept])) >= 1
