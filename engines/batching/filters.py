"""Which tokens a draw is made among.

Each filter takes the logits of candidates, divided by the temperature, of at most 0, and -inf where
ruled out, and gives the places of those that stay, in order. At least one does; of equal ones,
those that come first do.
"""

import math
from typing import Any

import numpy as np

Logits = Any
"""Of candidates, float32; at least one is finite."""

Places = Any
"""Indices of candidates, ascending."""

FARTHEST = 1e30
"""The surprise of what cannot be: the sums are to stay numbers."""

ROWS = 64
"""Parts of a vocabulary that are compared at once to find its largest logits."""


def largest(keys: Any, count: int) -> Places:
    """Where the ``count`` largest of ``keys`` are."""
    if count >= len(keys):
        return np.arange(len(keys))
    columns = len(keys) // ROWS
    if count > columns:
        return _largest(keys, count)
    # As many columns have a key of at least their own maximum.
    maxima = keys[: ROWS * columns].reshape(ROWS, columns).max(axis=0)
    places = np.flatnonzero(keys >= np.partition(maxima, -count)[-count])
    return places[_largest(keys[places], count)]


def _largest(keys: Any, count: int) -> Places:
    least = np.partition(keys, -count)[-count]
    places = np.flatnonzero(keys >= least)
    if len(places) > count:
        ties = np.flatnonzero(keys[places] == least)
        places = np.delete(places, ties[count - len(places) :])
    return places


def typical_p(logits: Logits, share: float) -> Places:
    """The candidates whose surprise is closest to the expected one, until they have ``share`` of
    the probability (https://arxiv.org/abs/2202.00666)."""
    weights = np.exp(logits)
    total = weights.sum()
    surprise = np.minimum(np.log(total) - logits, FARTHEST)
    distances = np.abs(surprise - np.dot(weights, surprise) / total)
    reach = 1.0
    while weights[distances <= reach].sum() < share * total:
        reach *= 2
    near = np.flatnonzero(distances <= reach)
    distances = distances[near]
    ordered = weights[near[np.argsort(distances)]]
    return near[largest(-distances, _until(share * total, ordered))]


def top_p(logits: Logits, share: float) -> Places:
    """The likeliest candidates, until they have ``share`` of the probability."""
    weights = np.exp(logits)
    total = weights.sum()
    # Whatever is below an equal part of what may be left out can be left out together; the half is
    # for rounding.
    likely = np.flatnonzero(weights >= 0.5 * (1 - share) * total / len(weights))
    weights = weights[likely]
    return likely[largest(weights, _until(share * total, np.sort(weights)[::-1]))]


def min_p(logits: Logits, share: float) -> Places:
    """The candidates that have at least ``share`` of the likeliest one's probability."""
    return np.flatnonzero(logits >= logits.max() + math.log(share))


def _until(weight: float, ordered: Any) -> int:
    """How many of the ``ordered`` weights, from the first on, reach ``weight`` together."""
    return int(np.searchsorted(ordered.cumsum(dtype=np.float64), weight)) + 1
