import math
from typing import Any

import numpy as np
import pytest

from codeserve.engines.batching.penalties import Penalties
from codeserve.engines.types import GenerationRequest, SamplingParams


def penalties(prompt: tuple[int, ...] = (), **sampling: Any) -> Penalties:
    return Penalties(
        GenerationRequest(
            id="r",
            prompt_ids=prompt,
            max_tokens=9,
            stop_ids=frozenset(),
            sampling=SamplingParams(**sampling),
        )
    )


def applied(to: Penalties, row: list[float]) -> list[float]:
    changed = np.array(row, np.float32)
    to.apply(changed)
    return [float(x) for x in changed]


ROW = [4.0, -4.0, 0.0, 2.0]


def test_nothing_asked_for_changes_nothing() -> None:
    plain = penalties((0, 1))
    plain.count(0)
    assert applied(plain, ROW) == ROW


def test_a_bias_is_added() -> None:
    assert applied(penalties(logit_bias={0: -100, 3: 1.5}), ROW) == [-96, -4, 0, 3.5]


def test_repetition_divides_what_is_positive_and_multiplies_what_is_negative() -> None:
    assert applied(penalties((0, 1, 1, 2), repetition_penalty=2), ROW) == [2, -8, 0, 2]
    assert applied(penalties((0, 1), repetition_penalty=0.5), ROW) == [8, -2, 0, 2]


def test_repetition_counts_the_output_too_and_each_token_once() -> None:
    both = penalties((0,), repetition_penalty=2)
    for token in (0, 3, 3):
        both.count(token)
    assert applied(both, ROW) == [2, -4, 0, 1]


def test_presence_counts_the_output_once() -> None:
    once = penalties((0, 1), presence_penalty=0.5)
    assert applied(once, ROW) == ROW
    for token in (3, 3, 2):
        once.count(token)
    assert applied(once, ROW) == [4, -4, -0.5, 1.5]


def test_frequency_counts_the_output_each_time() -> None:
    each = penalties((0, 1), frequency_penalty=-0.5)
    assert applied(each, ROW) == ROW
    for token in (3, 3, 2):
        each.count(token)
    assert applied(each, ROW) == [4, -4, 0.5, 3]


def test_presence_and_frequency_that_cancel_out_once_do_so_once() -> None:
    both = penalties(presence_penalty=1, frequency_penalty=-1)
    applied(both, ROW)
    both.count(3)
    assert applied(both, ROW) == ROW
    both.count(3)
    assert applied(both, ROW) == [4, -4, 0, 3]


def test_biases_come_before_penalties_and_repetition_before_the_others() -> None:
    order = penalties((1,), repetition_penalty=2, presence_penalty=1, logit_bias={1: 10})
    applied(order, ROW)
    order.count(1)
    assert applied(order, ROW) == [4, 6 / 2 - 1, 0, 2]


@pytest.mark.parametrize("changes", [{"logit_bias": {1: 1e6}}, {"repetition_penalty": 1e-40}])
def test_what_is_ruled_out_stays_so_and_nothing_overflows(changes: dict[str, Any]) -> None:
    row = applied(penalties((0, 1, 3), **changes), [4.0, -math.inf, 0.0, -4.0])
    assert row[1] == -math.inf
    assert all(math.isfinite(x) for x in [row[0], *row[2:]])
