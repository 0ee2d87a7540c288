"""How fast a model serves, measured from the requests that it has served."""

REMEMBERED = 32
"""Requests after which a measurement has lost about two thirds of its weight."""

FADING = 1 - 1 / REMEMBERED


class ServiceRate:
    """Requests that end in a second while all slots are taken.

    It is what a second of one slot has yielded, times the slots, so that it holds for a full
    server whether or not the server was full when it was measured, and hours without a request
    change nothing. It has no clock: whoever calls tells the time, in seconds on any one clock.
    """

    def __init__(self, slots: int) -> None:
        """``slots``: requests that are computed together. Until the first one has ended, one
        second of a slot is taken to be enough."""
        self._slots = slots
        self._ended = 1.0
        self._slot_seconds = 1.0
        self._held = 0
        self._since = 0.0

    def begin(self, now: float) -> None:
        """A request has come."""
        self._pass(now)
        self._held += 1

    def end(self, now: float) -> None:
        """One has ended."""
        self._pass(now)
        self._held -= 1
        self._ended = (self._ended + 1) * FADING
        self._slot_seconds *= FADING

    def seconds_for(self, requests: int, now: float) -> float:
        """How long so many requests will take, one after another, at the rate up to ``now``."""
        self._pass(now)
        return requests * self._slot_seconds / (self._ended * self._slots)

    def _pass(self, now: float) -> None:
        """Count the time since the last change: of every slot that was taken."""
        self._slot_seconds += min(self._held, self._slots) * (now - self._since)
        self._since = now
