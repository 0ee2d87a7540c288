"""How likely tokens were, from the logits of a step."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from codeserve.engines.types import TokenScore

Rows = Any
"""Raw logits: positions by vocabulary, float32."""


class Scorer:
    """Scores the tokens that come after some positions of one step.

    It takes what it needs of the logits when it is made, because masks and samplers change them.
    """

    def __init__(self, rows: Rows, top: int) -> None:
        """``top``: how many of the likeliest tokens each score names."""
        self._logprobs = _log_softmax(rows)
        self._top = top

    def scores(self, token_ids: Iterable[int]) -> list[TokenScore]:
        """How likely each of ``token_ids`` was after its position, in order from the first."""
        return [self.score(position, token_id) for position, token_id in enumerate(token_ids)]

    def score(self, position: int, token_id: int) -> TokenScore:
        """How likely ``token_id`` was after the position of that index."""
        row = self._logprobs[position]
        logprob = float(row[token_id])
        rank = 1 + int(np.count_nonzero(row > row[token_id]))
        return TokenScore(logprob, rank, self._likeliest(row))

    def _likeliest(self, row: Any) -> tuple[tuple[int, float], ...]:
        count = min(self._top, len(row))
        if count == 0:
            return ()
        best = np.argpartition(row, -count)[-count:]
        ordered = best[np.argsort(-row[best], kind="stable")]
        return tuple((int(token_id), float(row[token_id])) for token_id in ordered)


def _log_softmax(rows: Rows) -> Rows:
    shifted = rows.astype(np.float64) - rows.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
