"""Sampling beside a reference in plain Python: the same tokens for the same numbers of the seed."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codeserve.engines.batching.sampler import Sampler, draw, is_plain_greedy
from codeserve.engines.errors import EngineFailure
from codeserve.engines.types import GenerationRequest, SamplingParams

TINY = 1e-4
"""Numbers closer than that to a limit may be on either side of it in float32."""

quarters = st.integers(-40, 40).map(lambda n: n / 4)
rows = st.lists(quarters | st.just(-math.inf), min_size=1, max_size=12).map(lambda r: [*r, 1.0])
params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.sampled_from([-1, 0, 1, 3, 8, 100]),
    top_p=st.sampled_from([1.0, 0.83, 0.6, 0.0]),
    min_p=st.sampled_from([0.0, 0.21, 0.4, 1.0]),
    typical_p=st.sampled_from([1.0, 0.81, 0.37]),
    presence_penalty=st.sampled_from([0.0, 0.77]),
    frequency_penalty=st.sampled_from([0.0, -0.31]),
    repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
    logit_bias=st.sampled_from([{}, {0: 3.1}, {1: -100.0, 0: -0.7}]),
    seed=st.integers(-(2**63), 2**63 - 1),
)


def a_request(sampling: SamplingParams, prompt: Sequence[int] = ()) -> GenerationRequest:
    return GenerationRequest(
        id="r",
        prompt_ids=tuple(prompt),
        max_tokens=100,
        stop_ids=frozenset(),
        sampling=sampling,
    )


def sampled(sampling: SamplingParams, row: Any, tokens: int) -> list[int]:
    """Tokens that follow one another, all from the same logits."""
    sampler = Sampler(a_request(sampling))
    return [sampler.sample(np.array(row, np.float32)) for _ in range(tokens)]


class Reference:
    """The order that ``SamplingParams`` documents, step by step."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int]) -> None:
        self.params = params
        self.prompt = prompt
        self.output: list[int] = []
        assert params.seed is not None
        self.numbers = np.random.default_rng(params.seed % 2**64)

    def sample(self, row: Sequence[float]) -> int:
        p = self.params
        logits = {i: self.penalised(i, x + p.logit_bias.get(i, 0)) for i, x in enumerate(row)}
        logits = {i: x / p.temperature for i, x in logits.items() if x > -math.inf}
        if p.top_k > 0:
            logits = kept(logits, sorted(logits, key=lambda i: -round(logits[i], 6))[: p.top_k])
        chances = softmax(logits)
        if p.typical_p < 1:
            chances = typical(chances, p.typical_p)
        if p.top_p < 1:
            chances = until(p.top_p, sorted(chances, key=lambda i: -chances[i]), chances)
        if p.min_p > 0:
            chances = at_least(p.min_p * max(chances.values()), chances)
        return self.drawn(chances)

    def penalised(self, token: int, logit: float) -> float:
        p = self.params
        if token in (*self.prompt, *self.output):
            logit = logit / p.repetition_penalty if logit > 0 else logit * p.repetition_penalty
        count = self.output.count(token)
        return logit - p.presence_penalty * (count > 0) - p.frequency_penalty * count

    def drawn(self, chances: dict[int, float]) -> int:
        number = self.numbers.random() * sum(chances.values())
        together = 0.0
        for token in sorted(chances):
            together += chances[token]
            assume(abs(together - number) > TINY)
            if together > number:
                self.output.append(token)
                return token
        raise AssertionError


def kept(of: dict[int, float], ids: Sequence[int]) -> dict[int, float]:
    return {i: of[i] for i in sorted(ids)}


def softmax(logits: dict[int, float]) -> dict[int, float]:
    highest = max(logits.values())
    return normal({i: math.exp(x - highest) for i, x in logits.items()})


def normal(weights: dict[int, float]) -> dict[int, float]:
    return {i: weight / sum(weights.values()) for i, weight in weights.items()}


def until(share: float, order: Sequence[int], chances: dict[int, float]) -> dict[int, float]:
    together = 0.0
    for place, token in enumerate(order, start=1):
        together += chances[token]
        assume(abs(together - share) > TINY)
        if together >= share:
            assume_a_clear_cut([chances[i] for i in order], place)
            return normal(kept(chances, order[:place]))
    return chances


def typical(chances: dict[int, float], share: float) -> dict[int, float]:
    chances = {i: chance for i, chance in chances.items() if chance > 1e-30}
    entropy = -sum(x * math.log(x) for x in chances.values())
    distance = {i: abs(-math.log(x) - entropy) for i, x in chances.items()}
    order = sorted(chances, key=lambda i: distance[i])
    assume_a_clear_order([distance[i] for i in order])
    return until(share, order, chances)


def at_least(least: float, chances: dict[int, float]) -> dict[int, float]:
    highest = max(chances.values())
    assume(all(abs(math.log(x / least)) > TINY or x == highest for x in chances.values()))
    return normal({i: x for i, x in chances.items() if x >= least})


def assume_a_clear_cut(ordered: Sequence[float], place: int) -> None:
    """Rounding does not decide which is the last one kept."""
    if place < len(ordered):
        gap = abs(math.log(ordered[place - 1] / ordered[place]))
        assume(gap > TINY)


def assume_a_clear_order(ordered: Sequence[float]) -> None:
    assume(all(b - a > TINY for a, b in pairwise(ordered)))


@settings(max_examples=400)
@given(params=params, row=rows, prompt=st.lists(st.integers(0, 1), max_size=3))
def test_tokens_are_those_of_the_reference(
    params: SamplingParams, row: list[float], prompt: list[int]
) -> None:
    sampler, reference = Sampler(a_request(params, prompt)), Reference(params, prompt)
    for _ in range(6):
        expected = reference.sample(row)
        assert sampler.sample(np.array(row, np.float32)) == expected
        assert row[expected] > -math.inf


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 5000, 32_256, 102_400])
@pytest.mark.parametrize("spread", [0.0, 1.0, 20.0])
def test_a_draw_is_where_the_running_sum_passes_its_number(size: int, spread: float) -> None:
    chance = np.random.default_rng(size)
    weights = np.exp(chance.standard_normal(size) * spread).astype(np.float32)
    weights /= weights.max()
    weights[chance.random(size) < 0.3] = 0
    weights[chance.integers(size)] = 1
    running = np.cumsum(weights, dtype=np.float64) / np.sum(weights, dtype=np.float64)
    for number in [0.0, 1 - 2**-53, *chance.random(200)]:
        index = draw(weights, float(number))
        assert weights[index] > 0
        assert running[index] >= number - 1e-6
        assert index == 0 or running[index - 1] <= number + 1e-6


def test_tokens_come_as_often_as_they_are_likely() -> None:
    numbers = (np.arange(1000) + 0.5) / 1000
    weights = np.array([1, 0, 7, 2], np.float32)
    drawn = [draw(weights, number) for number in numbers]
    assert [drawn.count(index) for index in range(4)] == [100, 0, 700, 200]


def test_a_seed_repeats_and_another_differs() -> None:
    row = np.zeros(1000)
    ways = [
        sampled(SamplingParams(seed=seed), row, 20) for seed in (0, 1, -1, 2**32 - 1, 2**63 - 1)
    ]
    assert sampled(SamplingParams(seed=1), row, 20) == ways[1]
    assert sampled(SamplingParams(seed=-1), row, 20) == ways[2]
    assert len({tuple(tokens) for tokens in ways}) == 5


def test_without_a_seed_draws_differ() -> None:
    assert sampled(SamplingParams(), np.zeros(1000), 20) != sampled(
        SamplingParams(), np.zeros(1000), 20
    )


def test_samplers_that_take_turns_do_not_disturb_one_another() -> None:
    row = np.zeros(1000, np.float32)
    one, other = (Sampler(a_request(SamplingParams(seed=seed))) for seed in (1, 2))
    turns = [(one.sample(row.copy()), other.sample(row.copy())) for _ in range(20)]
    assert [a for a, _ in turns] == sampled(SamplingParams(seed=1), row, 20)
    assert [b for _, b in turns] == sampled(SamplingParams(seed=2), row, 20)


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 9e-6])
def test_a_temperature_next_to_zero_is_greedy(temperature: float) -> None:
    assert sampled(SamplingParams(temperature=temperature), [1.0, 3.0, 3.0, 2.0], 5) == [1] * 5


def test_the_lowest_temperature_that_is_not_greedy_shares_among_equals_alone() -> None:
    row = [1.0, 3.0, 3.0, 2.9]
    assert {*sampled(SamplingParams(temperature=1e-5, seed=1), row, 50)} == {1, 2}


@pytest.mark.parametrize("sampling", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_a_filter_that_leaves_one_token_is_greedy(sampling: dict[str, Any]) -> None:
    row = np.random.default_rng(1).standard_normal(32_256)
    tokens = sampled(SamplingParams(temperature=2.0, seed=3, **sampling), row, 5)
    assert tokens == [row.argmax()] * 5


@pytest.mark.parametrize("sampling", [{}, {"top_k": 40}, {"top_p": 0.99}, {"typical_p": 0.99}])
def test_what_is_ruled_out_is_never_sampled(sampling: dict[str, Any]) -> None:
    row = np.full(32_256, -np.inf)
    allowed = {5, 256, 20_000, 32_255}
    row[list(allowed)] = [0.0, 0.5, 0.1, 0.2]
    biases = {6: 100.0, 5: -1.0}
    params = SamplingParams(temperature=5.0, seed=1, logit_bias=biases, **sampling)
    assert {*sampled(params, row, 300)} == allowed


def test_a_bias_bans_and_forces() -> None:
    row = [1.0, 0.5, 0.0]
    assert 0 not in sampled(SamplingParams(seed=1, logit_bias={0: -100}), row, 200)
    assert {*sampled(SamplingParams(seed=1, logit_bias={2: 100}), row, 200)} == {2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(temperature: float, broken: float) -> None:
    with pytest.raises(EngineFailure, match="not finite numbers"):
        sampled(SamplingParams(temperature=temperature), [0.0, broken, 1.0], 1)


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({}, True),
        ({"temperature": 9e-6, "top_p": 0.5, "seed": 1}, True),
        ({"temperature": 0.1}, False),
        ({"repetition_penalty": 1.1}, False),
        ({"frequency_penalty": 0.1}, False),
        ({"presence_penalty": -0.1}, False),
        ({"logit_bias": {1: 1.0}}, False),
    ],
)
def test_plain_greedy_is_what_changes_no_logit(changes: dict[str, Any], plain: bool) -> None:
    assert is_plain_greedy(SamplingParams(**({"temperature": 0.0} | changes))) is plain
