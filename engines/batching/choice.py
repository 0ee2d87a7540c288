"""How the tokens of one slot are chosen and scored."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from codeserve.engines.batching.constraint import Constraint, Row
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.prefix_tree import common_length
from codeserve.engines.batching.sampler import Sampler, is_plain_greedy
from codeserve.engines.batching.scoring import Rows, Scorer
from codeserve.engines.batching.step_backend import Chunk, following
from codeserve.engines.errors import ServingError
from codeserve.engines.types import GenerationRequest, TokenScore


class Choice:
    """Serves one request, from its first token to its last."""

    def __init__(self, request: GenerationRequest, constraint: Constraint | None) -> None:
        """``constraint`` belongs to this request."""
        self._request = request
        self._constraint = constraint
        self._sampler = Sampler(request)

    @staticmethod
    def is_needed(request: GenerationRequest, constraint: Constraint | None) -> bool:
        """Whether there is more to do than to take the likeliest token."""
        return not (
            constraint is None
            and request.logprobs is None
            and request.prompt_logprobs is None
            and is_plain_greedy(request.sampling)
        )

    def outcome(self, chunk: Chunk, rows: Rows, never_sampled: Any) -> Outcome:
        """What ``chunk`` yields. ``rows`` are its raw logits, ``rows_of(chunk)`` by vocabulary,
        and are changed; ``never_sampled`` are ids that are ruled out once scores are taken."""
        prompt_scores = self._score_prompt(chunk, rows)
        if not chunk.samples:
            return Outcome(prompt_scores=prompt_scores)
        drafts = drafts_of(chunk)
        tokens: list[int] = []
        scores: list[TokenScore] = []
        for index, row in enumerate(rows[-1 - chunk.drafts :]):
            top = self._request.logprobs
            scorer = None if top is None else Scorer(row[np.newaxis], top)
            row[never_sampled] = -np.inf
            try:
                token = self._choose(row)
            except ServingError as error:
                return Outcome(error=error)
            tokens.append(token)
            if scorer is not None:
                scores.append(scorer.score(0, token))
            if token in self._request.stop_ids or list(drafts[index : index + 1]) != [token]:
                break
        return Outcome(tokens, scores, prompt_scores)

    def _score_prompt(self, chunk: Chunk, rows: Rows) -> list[TokenScore]:
        top = self._request.prompt_logprobs
        if top is None or not chunk.scores_prompt:
            return []
        return Scorer(rows, top).scores(following(chunk, self._request))

    def _choose(self, row: Row) -> int:
        if self._constraint is not None:
            self._constraint.apply(row)
        token = self._sampler.sample(row)
        if self._constraint is not None:
            self._constraint.accept(token)
        return token


def greedy(chunk: Chunk, likeliest: Sequence[int]) -> Outcome:
    """The drafts of ``chunk`` that are the likeliest tokens, and the token after them."""
    if not chunk.samples:
        return Outcome()
    return Outcome(likeliest[: common_length(drafts_of(chunk), likeliest) + 1])


def drafts_of(chunk: Chunk) -> Sequence[int]:
    """The guesses at the end of ``chunk``."""
    return chunk.token_ids[len(chunk.token_ids) - chunk.drafts :]
