"""What is left of limits that begin anew from minute to minute."""

from dataclasses import dataclass
from math import floor

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Window:
    """What is left of a limit for now."""

    limit: int
    remaining: int
    reset: float
    """Seconds until there is more."""


@dataclass(frozen=True, slots=True)
class TokenCounters:
    """The tokens of the last minute of the clock and of this one, and seconds until each count is
    forgotten; the second is the first's from then on."""

    previous: int
    previous_left: float
    current: int
    current_left: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands when a request of it comes."""

    requests: Window | None = None
    """None: it may send any number."""
    tokens: Window | None = None
    taken: bool = True
    """The request has been counted; else it may not be served."""


def token_window(limit: int, counters: TokenCounters, wanted: int = 1) -> Window:
    """What ``counters`` leave of ``limit``, and when they leave as many as ``wanted``, which is no
    more than ``limit``."""
    aged = counters.previous * counters.previous_left / MINUTE
    remaining = limit - floor(aged + counters.current)
    return Window(
        limit, max(remaining, 0), _seconds_until_below(limit - wanted + 1, aged, counters)
    )


def _seconds_until_below(limit: int, aged: float, counters: TokenCounters) -> float:
    """When the count is less than ``limit``, if nothing is added to it."""
    current = counters.current
    if aged + current < limit:
        return 0.0
    if current < limit:
        return counters.previous_left - (limit - current) * MINUTE / counters.previous
    return counters.current_left - MINUTE * limit / current
