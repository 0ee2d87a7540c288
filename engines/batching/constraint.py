"""What rules tokens out while one sequence is sampled."""

from collections.abc import Iterable
from concurrent.futures import Executor, Future
from typing import Any, Protocol

import numpy as np

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import GenerationRequest

Row = Any
"""The logits of one position, float32 by vocabulary; changed in place."""


class Matcher(Protocol):
    """Follows one output through a grammar."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing may follow but the end."""

    def compute(self) -> None:
        """Find the tokens that may come next; from any thread, one at a time."""

    def constrain(self, logits: Row) -> None:
        """Set all others in ``logits`` to -inf."""

    def accept(self, token_id: int) -> None:
        """Take note that a token was sampled."""


class Constraint:
    """One sequence's. The mask of a grammar is computed beside the step before it is needed.

    ``apply`` and ``accept`` raise ServingError where the grammar cannot be followed any further.
    """

    def __init__(
        self, request: GenerationRequest, matcher: Matcher | None, executor: Executor
    ) -> None:
        """``executor`` runs what ``matcher`` computes; ``matcher`` belongs to this sequence."""
        self._stop_ids = _array(request.stop_ids)
        self._is_stop = request.stop_ids.__contains__
        self._never_ids = _array(request.never_ids)
        allowed = request.sampling.allowed_ids
        self._allowed_ids = _array({*allowed, *request.stop_ids}) if allowed else None
        self._min_tokens = request.sampling.min_tokens
        self._tokens = 0
        self._matcher = matcher
        self._executor = executor
        self._computing: Future[None] | None = None
        self._prepare()

    def apply(self, row: Row) -> None:
        """Set every token that may not come next to -inf.

        Where the rules leave none, those that end the generation remain, if the grammar allows an
        end. Raises InvalidRequest where nothing remains.
        """
        self._keep_to_grammar(row)
        ends = row[self._stop_ids]
        self._narrow(row)
        if not np.isneginf(row).all():
            return
        if np.isneginf(ends).all():
            raise no_token_left()
        row[self._stop_ids] = ends

    def accept(self, token_id: int) -> None:
        """Take note that a token was sampled."""
        self._tokens += 1
        if self._matcher is not None and not self._is_stop(token_id):
            self._matcher.accept(token_id)
            self._prepare()

    def _keep_to_grammar(self, row: Row) -> None:
        if self._matcher is not None:
            assert self._computing is not None
            self._computing.result()
            self._matcher.constrain(row)

    def _narrow(self, row: Row) -> None:
        row[self._never_ids] = -np.inf
        if self._allowed_ids is not None:
            kept = row[self._allowed_ids]
            row[:] = -np.inf
            row[self._allowed_ids] = kept
        if self._tokens < self._min_tokens and not self._has_ended:
            row[self._stop_ids] = -np.inf

    @property
    def _has_ended(self) -> bool:
        return self._matcher is not None and self._matcher.is_finished

    def _prepare(self) -> None:
        if self._matcher is not None:
            self._computing = self._executor.submit(self._matcher.compute)


def no_token_left() -> InvalidRequest:
    """What a request is told whose rules contradict each other."""
    return InvalidRequest(
        "What the request allows to be sampled and what it forbids leave no token.",
        code="no_token_allowed",
    )


def is_needed(request: GenerationRequest) -> bool:
    """Whether ``request`` rules any token out."""
    sampling = request.sampling
    return bool(
        sampling.grammar is not None
        or sampling.allowed_ids
        or sampling.min_tokens
        or request.never_ids
    )


def _array(token_ids: Iterable[int]) -> Any:
    return np.array(sorted(token_ids), np.intp)
