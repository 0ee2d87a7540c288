"""vLLM's log-probabilities as ours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codeserve.engines.types import TokenScore

Logprobs = Mapping[int, Any]
"""vLLM's ``Logprob`` by token id: the likeliest tokens, and the one that was chosen."""


def scores(
    token_ids: Iterable[int], positions: Sequence[Logprobs], top: int
) -> tuple[TokenScore, ...]:
    """How likely each of ``token_ids`` was at its position, with ``top`` alternatives."""
    return tuple(
        _score(token_id, logprobs, top)
        for token_id, logprobs in zip(token_ids, positions, strict=True)
    )


def _score(token_id: int, logprobs: Logprobs, top: int) -> TokenScore:
    ranked = sorted(logprobs.items(), key=lambda item: item[1].rank)
    chosen = logprobs[token_id]
    likeliest = tuple((other, float(found.logprob)) for other, found in ranked[:top])
    return TokenScore(float(chosen.logprob), int(chosen.rank), likeliest)
