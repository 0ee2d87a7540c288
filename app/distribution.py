"""Values counted by size."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

SECONDS_OF_REQUESTS = (
    *(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0),
    *(40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
SECONDS_TO_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
SECONDS_BETWEEN_TOKENS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
SECONDS_OF_LOADING = (
    *(0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0),
)
TOKENS = tuple(float(mantissa * 10**exponent) for exponent in range(6) for mantissa in (1, 2, 5))
"""1, 2, 5, 10, ... 500000."""


class Distribution:
    """How many values lie between bounds, as Prometheus' histograms want to know it.

    Takes a thousand values in a fraction of a millisecond: every token has one.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` rise; a value counts below the first bound that it does not exceed."""
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts)

    def add(self, value: float) -> None:
        """Count ``value``."""
        self.sum += value
        self._counts[bisect_left(self._bounds, value)] += 1

    def add_all(self, values: Iterable[float]) -> None:
        """Count each of ``values``."""
        for value in values:
            self.add(value)

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Each bound, infinity being the last, and how many values do not exceed it."""
        return zip((*map(str, self._bounds), "+Inf"), accumulate(self._counts), strict=True)
