"""Requests and tokens of keys in the last minute, counted by a library in memory or in Redis."""

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from codeserve.app.keys.window import MINUTE, TokenCounters, Window, token_window

ANY_NUMBER = 2**53
"""A limit that nothing reaches: what has been used is counted, whatever it comes to."""

PREFIX = "codeserve"


class Meter:
    """Counts in one storage; one operation is one step there, whoever else counts.

    Requests are counted in a moving window, to the one. Tokens come in thousands, so that theirs
    is two counters: this minute's, and the last one's by the share of it that is less than a
    minute ago.
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
        counters = await self._storage.get_sliding_window(_tokens(key_id), MINUTE)
        return token_window(limit, TokenCounters(*counters))

    async def charge(self, key_id: str, tokens: int) -> None:
        """Count ``tokens`` that have been used."""
        await self._storage.acquire_sliding_window_entry(
            _tokens(key_id), ANY_NUMBER, MINUTE, tokens
        )


def _tokens(key_id: str) -> str:
    return f"{PREFIX}/tokens/{key_id}"
