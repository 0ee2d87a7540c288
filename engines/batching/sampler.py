"""How one request's tokens are sampled from logits, whatever engine computes them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from codeserve.engines.batching import filters
from codeserve.engines.batching.constraint import Row
from codeserve.engines.batching.filters import Logits, Places
from codeserve.engines.batching.penalties import Penalties
from codeserve.engines.errors import EngineFailure
from codeserve.engines.types import GenerationRequest, SamplingParams

GREEDY_BELOW = 1e-5
"""A temperature so low that only the likeliest token is left."""

BLOCK = 256
"""Weights that are added up at once: adding one to another takes ten times as long."""


class Sampler:
    """Serves one request.

    The n-th token of the output takes the n-th number that the seed gives, and no other: nothing
    else that runs, and no wrong guess of a token, changes what a seed gives.
    """

    def __init__(self, request: GenerationRequest) -> None:
        params = request.sampling
        self._penalties = Penalties(request)
        self._top_k = params.top_k
        self._temperature = params.temperature
        self._filters = _filters(params)
        self._numbers = np.random.default_rng(None if params.seed is None else params.seed % 2**64)

    def sample(self, row: Row) -> int:
        """The next token of the output, which it counts as chosen; ``row`` is changed.

        Raises EngineFailure where the logits are no numbers.
        """
        self._penalties.apply(row)
        token_id = int(row.argmax())
        if not np.isfinite(row[token_id]):
            raise EngineFailure("The model's logits are not finite numbers.")
        if self._temperature >= GREEDY_BELOW:
            token_id = self._draw(row, row[token_id])
        self._penalties.count(token_id)
        return token_id

    def _draw(self, row: Row, highest: Any) -> int:
        token_ids, logits = None, row
        if self._top_k > 0:  # Temperature does not change which those are.
            token_ids = filters.largest(row, self._top_k)
            logits = row[token_ids]
        logits -= highest
        logits *= 1 / self._temperature
        for places_of in self._filters:
            places = places_of(logits)
            token_ids = places if token_ids is None else token_ids[places]
            logits = logits[places]
        place = draw(np.exp(logits, out=logits), self._numbers.random())
        return place if token_ids is None else int(token_ids[place])


def draw(weights: Any, number: float) -> int:
    """The index at which the running sum of ``weights``, float32, passes the share ``number`` of
    the whole, from 0 to below 1; its weight is above 0."""
    sums = np.add.reduceat(weights, np.arange(0, len(weights), BLOCK)).cumsum(dtype=np.float64)
    target = number * sums[-1]
    block = int(np.searchsorted(sums, target, side="right"))
    start = block * BLOCK
    within = weights[start : start + BLOCK].cumsum(dtype=np.float64)
    rest = target - sums[block - 1] if block else target
    # The two sums of a block may differ in their last digits.
    rest = min(rest, np.nextafter(within[-1], 0))
    return start + int(np.searchsorted(within, rest, side="right"))


def is_plain_greedy(params: SamplingParams) -> bool:
    """Whether the likeliest token is chosen as it stands."""
    return (
        params.temperature < GREEDY_BELOW
        and params.repetition_penalty == 1
        and not params.frequency_penalty
        and not params.presence_penalty
        and not params.logit_bias
    )


def _filters(params: SamplingParams) -> list[Callable[[Logits], Places]]:
    """Those after ``top_k`` that ``params`` ask for, in order."""
    chosen: list[Callable[[Logits], Places]] = []
    if params.typical_p < 1:
        chosen.append(partial(filters.typical_p, share=params.typical_p))
    if params.top_p < 1:
        chosen.append(partial(filters.top_p, share=params.top_p))
    if params.min_p > 0:
        chosen.append(partial(filters.min_p, share=params.min_p))
    return chosen
