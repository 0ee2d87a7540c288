"""Choices over a model whose logits are a hash of all tokens before them."""

import math
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeserve.engines.batching.choice import Choice, greedy
from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.scheduler import Chunk
from codeserve.engines.batching.scoring import Scorer
from codeserve.engines.batching.sequence import Sequence as Running
from codeserve.engines.batching.step_backend import rows_of
from codeserve.engines.errors import EngineFailure, InvalidRequest
from codeserve.engines.types import GenerationRequest, SamplingParams

VOCAB, EOS, PADDING = 30, 28, 29
PROMPT = (3, 1, 4, 1, 5)
NEVER = np.array([PADDING], np.intp)
Drafts = Callable[[int], Sequence[int]]
"""What is guessed after so many tokens of the output."""


def logits(known: Sequence[int]) -> Any:
    """After ``known``; the padding is the likeliest."""
    row = np.random.default_rng(zlib.crc32(bytes(known))).standard_normal(VOCAB) * 2
    row[PADDING] = 9
    return row.astype(np.float32)


def a_request(**fields: Any) -> GenerationRequest:
    sampling = fields.pop("sampling", SamplingParams(temperature=0.0))
    given: dict[str, Any] = {"stop_ids": frozenset({EOS}), "max_tokens": 24, **fields}
    return GenerationRequest(id="r", prompt_ids=PROMPT, sampling=sampling, **given)


def constrained(request: GenerationRequest) -> Constraint:
    return Constraint(request, None, ThreadPoolExecutor(1))


def a_chunk(
    request: GenerationRequest, output: Sequence[int] = (), drafts: Sequence[int] = ()
) -> Chunk:
    """The last token of prompt and ``output``, with ``drafts``."""
    sequence = Running(request)
    sequence.token_ids += output
    start = len(sequence.token_ids) - 1
    return Chunk(sequence, 0, start, [*sequence.token_ids[start:], *drafts], True, len(drafts))


def rows(chunk: Chunk) -> Any:
    """The raw logits of ``chunk``."""
    known = [*chunk.sequence.token_ids[: chunk.start], *chunk.token_ids]
    ends = range(len(known) - rows_of(chunk) + 1, len(known) + 1)
    return np.stack([logits(known[:end]) for end in ends])


def answer(
    request: GenerationRequest,
    drafts: Drafts = lambda done: (),
    constraint: Constraint | None = None,
) -> list[int]:
    """The whole output, with drafts that may be wrong."""
    choice, output = Choice(request, constraint), list[int]()
    while len(output) < request.max_tokens and request.stop_ids.isdisjoint(output):
        chunk = a_chunk(request, output, drafts(len(output)))
        output += choice.outcome(chunk, rows(chunk), NEVER).token_ids
    return output[: request.max_tokens]


def one_outcome(request: GenerationRequest, constraint: Constraint | None = None) -> Outcome:
    chunk = a_chunk(request)
    return Choice(request, constraint).outcome(chunk, rows(chunk), NEVER)


WAYS = [
    SamplingParams(temperature=0.0),
    SamplingParams(temperature=1.0, seed=5),
    SamplingParams(temperature=1.5, seed=6, top_k=8, top_p=0.9, min_p=0.01, typical_p=0.9),
    SamplingParams(
        seed=7, repetition_penalty=1.4, presence_penalty=0.5, frequency_penalty=0.5, min_tokens=9
    ),
]


@pytest.mark.parametrize("way", WAYS)
@given(right=st.lists(st.integers(0, 5), min_size=1), wrong=st.integers(0, VOCAB - 1))
def test_drafts_do_not_change_what_is_chosen(
    way: SamplingParams, right: list[int], wrong: int
) -> None:
    request = a_request(sampling=way)
    plain = answer(request, constraint=constrained(request))
    assert len(plain) > 3

    def drafts(done: int) -> list[int]:
        room = request.max_tokens - done - 1
        return [*plain[done : done + right[done % len(right)]], wrong, wrong][:room]

    assert answer(request, drafts, constrained(request)) == plain


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_seed_gives_the_same_whatever_else_is_chosen_between(way: SamplingParams) -> None:
    request, other = a_request(sampling=way), a_request(sampling=SamplingParams(seed=9))
    choice, interfering, output = Choice(request, None), Choice(other, None), list[int]()
    while len(output) < request.max_tokens and request.stop_ids.isdisjoint(output):
        interfering.outcome(a_chunk(other), rows(a_chunk(other)), NEVER)
        chunk = a_chunk(request, output)
        output += choice.outcome(chunk, rows(chunk), NEVER).token_ids
    assert output == answer(request)


def test_right_drafts_give_several_tokens_and_wrong_ones_the_right_one_instead() -> None:
    request = a_request()
    first, second, third = answer(request)[:3]
    for drafts, expected in [
        ([first, second], [first, second, third]),
        ([first, PADDING], [first, second]),
        ([PADDING, second], [first]),
    ]:
        chunk = a_chunk(request, drafts=drafts)
        assert Choice(request, None).outcome(chunk, rows(chunk), NEVER).token_ids == expected
        masked = rows(chunk)
        masked[:, NEVER] = -np.inf
        assert greedy(chunk, masked.argmax(axis=1).tolist()).token_ids == expected


def test_nothing_follows_a_stop_id_whatever_was_guessed() -> None:
    forced = SamplingParams(logit_bias={EOS: 100.0}, seed=1)
    request = a_request(sampling=forced)
    chunk = a_chunk(request, drafts=[EOS, EOS])
    assert Choice(request, None).outcome(chunk, rows(chunk), NEVER).token_ids == [EOS]


def test_a_chunk_that_samples_nothing_yields_nothing() -> None:
    request = a_request(sampling=WAYS[1])
    chunk = Chunk(Running(request), 0, 0, [3, 1], samples=False)
    assert rows_of(chunk) == 0
    empty = np.empty((0, VOCAB), np.float32)
    outcome = Choice(request, None).outcome(chunk, empty, NEVER)
    assert not outcome.token_ids
    assert outcome.error is None
    assert greedy(chunk, []) == Outcome()


def test_scores_are_of_the_raw_logits() -> None:
    sampling = SamplingParams(
        seed=1, logit_bias={7: 50.0}, temperature=0.3, top_k=3, repetition_penalty=2.0
    )
    request = a_request(sampling=sampling, never_ids=frozenset({2}), logprobs=4)
    chunk = a_chunk(request, drafts=[7, 7])
    outcome = Choice(request, constrained(request)).outcome(chunk, rows(chunk), NEVER)
    assert outcome.token_ids == [7, 7, 7]
    assert outcome.scores == Scorer(rows(chunk), 4).scores([7, 7, 7])
    assert outcome.scores[0].top[0][0] == PADDING


def test_a_prompt_is_scored_with_the_token_after_it() -> None:
    request = a_request(prompt_logprobs=2, logprobs=1)
    chunk = Chunk(Running(request), 0, 0, list(PROMPT), samples=True)
    assert rows_of(chunk) == len(PROMPT)
    outcome = Choice(request, None).outcome(chunk, rows(chunk), NEVER)
    assert outcome.prompt_scores == Scorer(rows(chunk), 2).scores(PROMPT[1:])
    (token,) = outcome.token_ids
    assert outcome.scores == [Scorer(rows(chunk), 1).score(len(PROMPT) - 1, token)]


@pytest.mark.parametrize("temperature", [0.0, 50.0])
def test_only_what_is_allowed_is_ever_sampled(temperature: float) -> None:
    sampling = SamplingParams(
        temperature=temperature, seed=2, allowed_ids=(2, 9, PADDING), logit_bias={5: 100.0}
    )
    request = a_request(sampling=sampling, max_tokens=300, stop_ids=frozenset())
    assert {*answer(request, constraint=constrained(request))} <= {2, 9}


def test_padding_is_not_sampled_whatever_the_request_says() -> None:
    sampling = SamplingParams(temperature=50.0, seed=2, logit_bias={PADDING: 100.0})
    tokens = answer(a_request(sampling=sampling, max_tokens=300, stop_ids=frozenset()))
    assert PADDING not in tokens
    assert len({*tokens}) > 20


def test_rules_that_leave_no_token_end_this_sequence() -> None:
    request = a_request(sampling=SamplingParams(allowed_ids=(PADDING,)), stop_ids=frozenset())
    outcome = one_outcome(request, constrained(request))
    assert isinstance(outcome.error, InvalidRequest)
    assert list(outcome.token_ids) == []


def test_logits_that_are_no_numbers_end_this_sequence() -> None:
    request = a_request(sampling=WAYS[1])
    broken = np.full((1, VOCAB), math.nan, np.float32)
    outcome = Choice(request, None).outcome(a_chunk(request), broken, NEVER)
    assert isinstance(outcome.error, EngineFailure)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, False),
        ({"logprobs": 0}, True),
        ({"prompt_logprobs": 0}, True),
        ({"sampling": SamplingParams()}, True),
        ({"sampling": SamplingParams(temperature=0.0, presence_penalty=1.0)}, True),
    ],
)
def test_plain_greedy_needs_no_choice(changes: dict[str, Any], needed: bool) -> None:
    request = a_request(**changes)
    assert Choice.is_needed(request, None) is needed
    assert Choice.is_needed(request, constrained(request))
