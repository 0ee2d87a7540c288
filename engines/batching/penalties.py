"""What a request adds to logits before a token is chosen."""

from typing import Any

import numpy as np

from codeserve.engines.batching.constraint import Row
from codeserve.engines.types import GenerationRequest

HIGHEST = 1e30
"""No logit becomes higher: differences of logits must not overflow."""


class Penalties:
    """One request's biases, and its penalties for tokens that there are already."""

    def __init__(self, request: GenerationRequest) -> None:
        params = request.sampling
        self._biased_ids = np.array([*params.logit_bias], np.intp)
        self._biases = np.array([*params.logit_bias.values()], np.float32)
        self._repetition = params.repetition_penalty
        self._presence = params.presence_penalty
        self._frequency = params.frequency_penalty
        self._seen = set(request.prompt_ids if self._repetition != 1 else ())
        self._seen_ids = np.array([*self._seen], np.intp)
        self._generated: set[int] = set()
        self._subtracted: Any = None

    def apply(self, row: Row) -> None:
        """Change the logits in ``row``."""
        if len(self._biased_ids):
            row[self._biased_ids] += self._biases
        if len(self._seen_ids):
            row[self._seen_ids] = self._repeated(row[self._seen_ids])
        if self._presence or self._frequency:
            if self._subtracted is None:
                self._subtracted = np.zeros_like(row)
            row -= self._subtracted

    def count(self, token_id: int) -> None:
        """Take note that a token was chosen after ``apply``."""
        if self._repetition != 1 and token_id not in self._seen:
            self._seen.add(token_id)
            self._seen_ids = np.append(self._seen_ids, token_id)
        if self._subtracted is not None:
            self._subtracted[token_id] += self._frequency
            if token_id not in self._generated:
                self._generated.add(token_id)
                self._subtracted[token_id] += self._presence

    def _repeated(self, logits: Any) -> Any:
        factors = np.where(logits > 0, 1 / self._repetition, self._repetition)
        return np.minimum(logits * factors, HIGHEST)
