"""Requests and tokens of keys in the last minute, counted by a library in memory or in Redis."""

import time
from dataclasses import dataclass, replace

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from codeserve.app.keys.window import MINUTE, TokenCounters, Window, token_window

PREFIX = "codeserve"


class Meter:
    """Counts in one storage, whoever else counts there; the clocks of all must agree.

    Requests are counted in a moving window, to the one. Tokens come in thousands, so that theirs
    is a counter for each minute of the clock: this one's counts, and the last one's by the share
    of it that is less than a minute ago.
    """

    def __init__(self, storage: MemoryStorage | RedisStorage) -> None:
        self._storage = storage
        self._requests = MovingWindowRateLimiter(storage)

    async def take_request(self, key_id: str, limit: int) -> tuple[bool, Window]:
        """Count a request unless ``limit`` others are less than a minute old; whether it was, and
        what is left."""
        item = RateLimitItemPerMinute(limit, namespace=PREFIX)
        taken = await self._requests.hit(item, "requests", key_id)
        reset, remaining = await self._requests.get_window_stats(item, "requests", key_id)
        return taken, Window(limit, max(remaining, 0), max(reset - time.time(), 0.0))

    async def tokens(self, key_id: str, limit: int) -> Window:
        """What is left of ``limit`` tokens."""
        now = time.time()
        current = await self._storage.get(_counter(key_id, _minute(now)))
        return token_window(limit, await self._counters(key_id, now, current))

    async def reserve(
        self, key_id: str, limit: int, tokens: int
    ) -> tuple[Window, "Reservation | None"]:
        """Count ``tokens`` unless they would be more than ``limit`` with the others; what is left,
        and, where they were not counted, the time until they can be.

        They are added first and taken off again where they are too many, so that of those who ask
        at once none goes beyond the limit.
        """
        now = time.time()
        counter = _counter(key_id, _minute(now))
        counters = await self._counters(key_id, now, await self._storage.get(counter))
        window = token_window(limit, counters, tokens)
        if window.remaining < tokens:
            return window, None
        counted = await self._storage.incr(counter, 2 * MINUTE, tokens)
        window = token_window(limit, replace(counters, current=counted - tokens), tokens)
        if window.remaining < tokens:
            await self._storage.incr(counter, 2 * MINUTE, -tokens)
            return window, None
        ends = (_minute(now) + 2) * MINUTE
        left = replace(window, remaining=window.remaining - tokens)
        return left, Reservation(self, counter, tokens, ends)

    async def give_back(self, reservation: "Reservation", tokens: int) -> None:
        """Take ``tokens`` of ``reservation`` off where they were counted."""
        if time.time() < reservation.ends:
            await self._storage.incr(reservation.counter, 2 * MINUTE, -tokens)

    async def _counters(self, key_id: str, now: float, current: int) -> TokenCounters:
        minute = _minute(now)
        left = (minute + 1) * MINUTE - now
        previous = await self._storage.get(_counter(key_id, minute - 1))
        return TokenCounters(previous, left, current, left + MINUTE)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that have been counted before they were used."""

    meter: Meter
    counter: str
    tokens: int
    ends: float
    """Unix time from which on they no longer count."""


def _minute(now: float) -> int:
    return int(now // MINUTE)


def _counter(key_id: str, minute: int) -> str:
    return f"{PREFIX}/tokens/{key_id}/{minute}"
