"""How fast a download is, and how long it will take."""

from collections import deque

WINDOW_SECONDS = 10.0


class Transfer:
    """Measures a download over its last seconds; told the time, so it needs no clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, done: int) -> None:
        """At ``now``, in seconds, ``done`` bytes are there."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()

    def speed(self, now: float) -> float | None:
        """Bytes a second until ``now``; None while too little is known."""
        if len(self._seen) < 2:
            return None
        (since, before), (_, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - since) if now > since else None

    def seconds_left(self, now: float, total: int) -> float | None:
        """Until all ``total`` bytes are there, at this speed; None if it is not known."""
        speed = self.speed(now)
        return (total - self._seen[-1][1]) / speed if speed else None
