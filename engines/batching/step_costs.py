"""What a step costs, by the number of tokens that it computes."""

from bisect import bisect_left
from collections.abc import Iterable

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 2048)

LEARNING_RATE = 0.1

ASSUMED = (1.0, 0.35)
"""Where nothing was measured: a step of one token, and what each further token adds to it."""


class StepCosts:
    """A curve from tokens to seconds, linear between measured sizes, that learns from every step.

    Only ratios matter for drafting, so a start from assumed numbers without a unit is good enough.
    """

    def __init__(self, measured: Iterable[tuple[int, float]] = ()) -> None:
        """``measured``: tokens and seconds of steps on this machine."""
        first, each = ASSUMED
        self.is_measured = False
        """Whether the curve is in seconds."""
        self._seconds = [first + each * (size - 1) for size in SIZES]
        known = sorted(measured)
        if known:
            self.is_measured = True
            self._seconds = [_interpolate(known, size) for size in SIZES]

    def seconds(self, tokens: int) -> float:
        """What a step of ``tokens`` takes."""
        at = bisect_left(SIZES, tokens)
        if at == len(SIZES):
            return self._seconds[-1] * tokens / SIZES[-1]
        if SIZES[at] == tokens or at == 0:
            return self._seconds[at]
        low, high = SIZES[at - 1], SIZES[at]
        share = (tokens - low) / (high - low)
        return self._seconds[at - 1] * (1 - share) + self._seconds[at] * share

    def learn(self, tokens: int, seconds: float) -> None:
        """Take note of a step of ``tokens`` that took ``seconds``.

        The first one ever scales an assumed curve to seconds.
        """
        if not self.is_measured:
            scale = seconds / self.seconds(tokens)
            self._seconds = [value * scale for value in self._seconds]
            self.is_measured = True
            return
        factor = 1 + LEARNING_RATE * (seconds / self.seconds(tokens) - 1)
        at = bisect_left(SIZES, tokens)
        for index in {max(at - 1, 0), min(at, len(SIZES) - 1)}:
            if SIZES[index] == tokens or at in (0, len(SIZES)) or SIZES[at] != tokens:
                self._seconds[index] *= factor

    def tokens_within(self, seconds: float, most: int) -> int:
        """The most tokens, from 1 to ``most``, that a step computes in ``seconds``."""
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.seconds(middle) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low


def _interpolate(known: list[tuple[int, float]], tokens: int) -> float:
    """Seconds of ``tokens`` by the measured points; in proportion beyond the last."""
    at = bisect_left(known, (tokens, 0.0))
    if at == len(known):
        return known[-1][1] * tokens / known[-1][0]
    if known[at][0] == tokens or at == 0:
        return known[at][1]
    (low, left), (high, right) = known[at - 1], known[at]
    return left + (right - left) * (tokens - low) / (high - low)
