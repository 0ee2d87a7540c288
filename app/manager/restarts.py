"""When a worker that crashed or hung is started again."""

import msgspec


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the manager is; times in seconds."""

    first_delay: float = 1.0
    """Before the first restart; doubled with each that follows."""
    longest_delay: float = 60.0
    healthy_after: float = 120.0
    """A worker that served for so long is trusted again: the delays start anew."""
    load_attempts: int = 3
    """How many workers in a row may die before one is ready."""


class Backoff:
    """Counts the ends of one model's workers; told how long they served, so it needs no clock."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._next_delay = policy.first_delay
        self._died_loading = 0

    def delay(self, served: float | None) -> float | None:
        """Seconds until the next attempt; None where it is time to give up.

        ``served``: seconds that the last worker was ready, None where it never was.
        """
        policy = self._policy
        self._died_loading = self._died_loading + 1 if served is None else 0
        if self._died_loading >= policy.load_attempts:
            return None
        if served is not None and served >= policy.healthy_after:
            self._next_delay = policy.first_delay
        delay = self._next_delay
        self._next_delay = min(2 * delay, policy.longest_delay)
        return delay
