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


def largest(keys: Any, count: int) -> Places:
    """Where the ``count`` largest of ``keys`` are."""
    if count >= len(keys):
        return np.arange(len(keys))
    least = np.partition(keys, -count)[-count]
    places = np.flatnonzero(keys >= least)
    if len(places) > count:
        ties = np.flatnonzero(keys[places] == least)
        places = np.delete(places, ties[count - len(places) :])
    return places


def typical_p(logits: Logits, share: float) -> Places:
    """The candidates whose surprise is closest to the expected one, until they have ``share`` of
    the probability (https://arxiv.org/abs/2202.00666)."""
    possible = np.flatnonzero(logits > -np.inf)
    weights = np.exp(logits[possible])
    total = weights.sum()
    surprise = np.log(total) - logits[possible]
    closeness = -np.abs(surprise - np.dot(weights, surprise) / total)
    reach = 1.0
    while weights[closeness >= -reach].sum() < share * total:
        reach *= 2
    near = np.flatnonzero(closeness >= -reach)
    return possible[near[_until(share * total, closeness[near], weights[near])]]


def top_p(logits: Logits, share: float) -> Places:
    """The likeliest candidates, until they have ``share`` of the probability."""
    weights = np.exp(logits)
    total = weights.sum()
    # Candidates below an equal share of what may be left out can all be left out together; the
    # half is for rounding.
    likely = np.flatnonzero(weights >= 0.5 * (1 - share) * total / len(weights))
    return likely[_until(share * total, weights[likely], weights[likely])]


def min_p(logits: Logits, share: float) -> Places:
    """The candidates that have at least ``share`` of the likeliest one's probability."""
    return np.flatnonzero(logits >= logits.max() + math.log(share))


def _until(weight: float, keys: Any, weights: Any) -> Places:
    """As many of the largest keys as have ``weight`` together."""
    reached = np.cumsum(weights[np.argsort(-keys)], dtype=np.float64)
    return largest(keys, int(np.searchsorted(reached, weight)) + 1)
