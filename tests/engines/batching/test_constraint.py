from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from codeserve.engines.batching.constraint import Constraint, Matcher, is_needed
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import GenerationRequest, Grammar, GrammarKind, SamplingParams

VOCAB, EOS, EOT = 10, 8, 9


class Spelling:
    """A grammar of one word: its tokens in order, then the end."""

    def __init__(self, *word: int) -> None:
        self._rest = list(word)
        self._next: list[int] = []

    @property
    def is_finished(self) -> bool:
        return not self._rest

    def compute(self) -> None:
        self._next = self._rest[:1] or [EOS, EOT]

    def constrain(self, row: Any) -> None:
        row[[i for i in range(VOCAB) if i not in self._next]] = -np.inf

    def accept(self, token_id: int) -> None:
        assert self._rest.pop(0) == token_id


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def a_request(**fields: Any) -> GenerationRequest:
    sampling = SamplingParams(
        **{name: fields.pop(name) for name in ("min_tokens", "allowed_ids") if name in fields}
    )
    stop_ids = fields.pop("stop_ids", frozenset({EOS, EOT}))
    return GenerationRequest(
        id="r", prompt_ids=(1,), max_tokens=9, stop_ids=stop_ids, sampling=sampling, **fields
    )


def left(constraint: Constraint) -> list[int]:
    row = np.arange(VOCAB, dtype=np.float32)
    constraint.apply(row)
    kept = np.flatnonzero(~np.isneginf(row)).tolist()
    assert [row[i] for i in kept] == kept, "logits of tokens that stay are not changed"
    return kept


@pytest.mark.parametrize(
    "request_",
    [
        a_request(min_tokens=1),
        a_request(allowed_ids=(1,)),
        a_request(never_ids=frozenset({1})),
        GenerationRequest(
            id="r",
            prompt_ids=(1,),
            max_tokens=9,
            stop_ids=frozenset(),
            sampling=SamplingParams(grammar=Grammar(GrammarKind.REGEX, "a")),
        ),
    ],
)
def test_requests_that_rule_tokens_out_need_one(request_: GenerationRequest) -> None:
    assert is_needed(request_)


def test_others_need_none() -> None:
    assert not is_needed(a_request())


def test_never_means_never(executor: Executor) -> None:
    constraint = Constraint(a_request(never_ids=frozenset({0, 3})), None, executor)
    assert left(constraint) == [1, 2, 4, 5, 6, 7, 8, 9]


def test_allowed_tokens_and_the_end_are_left(executor: Executor) -> None:
    assert left(Constraint(a_request(allowed_ids=(2, 5)), None, executor)) == [2, 5, EOS, EOT]


def test_nothing_ends_before_the_least_number_of_tokens(executor: Executor) -> None:
    constraint = Constraint(a_request(min_tokens=2), None, executor)
    for _ in range(2):
        assert left(constraint) == list(range(8))
        constraint.accept(1)
    assert left(constraint) == list(range(VOCAB))


def test_a_grammar_leaves_what_may_come_next_and_then_the_end(executor: Executor) -> None:
    constraint = Constraint(a_request(), Spelling(4, 2), executor)
    assert left(constraint) == [4]
    constraint.accept(4)
    assert left(constraint) == [2]
    constraint.accept(2)
    assert left(constraint) == [EOS, EOT]
    constraint.accept(EOS)


def test_a_finished_grammar_ends_before_the_least_number_of_tokens(executor: Executor) -> None:
    constraint = Constraint(a_request(min_tokens=5), Spelling(4), executor)
    constraint.accept(4)
    assert left(constraint) == [EOS, EOT]


def test_rules_that_leave_nothing_end_the_generation(executor: Executor) -> None:
    request = a_request(allowed_ids=(2,), never_ids=frozenset({2}), min_tokens=1)
    assert left(Constraint(request, None, executor)) == [EOS, EOT]


def test_rules_that_leave_nothing_of_an_unfinished_form_are_an_error(executor: Executor) -> None:
    matcher: Matcher = Spelling(4)
    with pytest.raises(InvalidRequest, match="leave no token"):
        left(Constraint(a_request(allowed_ids=(2,)), matcher, executor))


def test_rules_that_leave_nothing_and_no_end_are_an_error(executor: Executor) -> None:
    request = a_request(allowed_ids=(2,), never_ids=frozenset({2}), stop_ids=frozenset())
    with pytest.raises(InvalidRequest, match="leave no token"):
        left(Constraint(request, None, executor))
