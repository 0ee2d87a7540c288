"""What a step costs, by the number of tokens that it computes."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

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
        known = dict(sorted(measured))
        if known:
            self.is_measured = True
            self._seconds = [
                _interpolate(tuple(known), tuple(known.values()), size) for size in SIZES
            ]

    def seconds(self, tokens: int) -> float:
        """What a step of ``tokens`` takes."""
        return _interpolate(SIZES, self._seconds, tokens)

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
        is_known = at < len(SIZES) and SIZES[at] == tokens
        for index in (at,) if is_known else (at - 1, at):
            if index < len(SIZES):
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


def _interpolate(sizes: Sequence[int], seconds: Sequence[float], tokens: int) -> float:
    """Seconds of ``tokens``: linear between ``sizes``, in proportion beyond the last."""
    at = bisect_left(sizes, tokens)
    if at == len(sizes):
        return seconds[-1] * tokens / sizes[-1]
    if sizes[at] == tokens or at == 0:
        return seconds[at]
    low, high = sizes[at - 1], sizes[at]
    share = (tokens - low) / (high - low)
    return seconds[at - 1] * (1 - share) + seconds[at] * share
