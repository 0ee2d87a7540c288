"""What keys have used of what they may."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError

from codeserve.app.keys.key import ApiKey
from codeserve.app.keys.meter import PREFIX, Meter, Reservation
from codeserve.app.keys.window import Standing, Window
from codeserve.app.setting_problems import SettingsError

REDIS_CONNECTIONS = 8
"""Each request asks for so little that the others wait for no longer than it takes to connect."""

REDIS_SECONDS = 5.0
"""What Redis may take to answer."""

REDIS_PAUSE = 10.0
"""Seconds without Redis after it has failed to."""

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
WRONG_REDIS = "redis: write a URL such as redis://127.0.0.1:6379/0"

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class Allowances:
    """Counts requests and tokens of every key in the last minute, and its running requests.

    Running requests are those of this server. The others are counted in Redis, where there is one,
    for all servers; while it does not answer, each server counts for itself.
    """

    def __init__(self, redis: str | None = None) -> None:
        """``redis``: the URL of the Redis server. Raises SettingsError."""
        self._running: Counter[str] = Counter()
        self._own = Meter(MemoryStorage())
        self._pool = _connections(redis) if redis is not None else None
        self._shared = _shared_meter(self._pool) if self._pool is not None else None
        self._shared_from = 0.0

    @contextmanager
    def place(self, key: ApiKey) -> Iterator[bool]:
        """One of the places of ``key`` for the length of the block; False: all are taken."""
        if key.max_concurrency is not None and self._running[key.id] >= key.max_concurrency:
            yield False
            return
        self._running[key.id] += 1
        try:
            yield True
        finally:
            self._running[key.id] -= 1
            if not self._running[key.id]:
                del self._running[key.id]

    async def take(self, key: ApiKey) -> Standing:
        """Count a request of ``key``, where its tokens are not used up and it may send another."""
        return await self._on_meter(lambda meter: _take(meter, key))

    async def reserve(
        self, key: ApiKey, limit: int, tokens: int
    ) -> tuple[Window, Reservation | None]:
        """Count ``tokens`` that a request of ``key`` may use, unless they would be more than
        ``limit`` with the others; what is left, and else when they will not be."""
        return await self._on_meter(lambda meter: meter.reserve(key.id, limit, tokens))

    async def give_back(self, reservation: Reservation, tokens: int) -> None:
        """``tokens`` of ``reservation`` have not been used."""
        try:
            await reservation.meter.give_back(reservation, tokens)
        except StorageError as error:
            self._do_without_redis(error.storage_error)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _on_meter(self, action: Callable[[Meter], Awaitable[Answer]]) -> Answer:
        if self._shared is not None and time.monotonic() >= self._shared_from:
            try:
                return await action(self._shared)
            except StorageError as error:
                self._do_without_redis(error.storage_error)
        return await action(self._own)

    def _do_without_redis(self, error: Exception) -> None:
        now = time.monotonic()
        if now >= self._shared_from:
            self._shared_from = now + REDIS_PAUSE
            logger.error(
                "Redis does not count for API keys: %s. For %g s this server counts for itself "
                "alone.",
                error,
                REDIS_PAUSE,
            )


async def _take(meter: Meter, key: ApiKey) -> Standing:
    tokens = None
    if key.tokens_per_minute is not None:
        tokens = await meter.tokens(key.id, key.tokens_per_minute)
        if not tokens.remaining:
            return Standing(tokens=tokens, taken=False)
    if key.requests_per_minute is None:
        return Standing(tokens=tokens)
    taken, requests = await meter.take_request(key.id, key.requests_per_minute)
    return Standing(requests, tokens, taken)


def _connections(url: str) -> Any:
    """Connections to the Redis server at ``url``, made when they are needed. Raises
    SettingsError."""
    if find_spec("redis") is None:
        raise SettingsError("redis: this needs pip install 'codeserve[redis]'")
    if not url.startswith(REDIS_SCHEMES):
        raise SettingsError(WRONG_REDIS)
    from redis.asyncio import BlockingConnectionPool

    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=REDIS_SECONDS,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )
    except ValueError as error:
        raise SettingsError(WRONG_REDIS) from error


def _shared_meter(pool: Any) -> Meter:
    # Where the server is, the pool knows; the library wants an address of its own all the same.
    storage = RedisStorage(
        "redis://localhost:6379",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=PREFIX,
        connection_pool=pool,
    )
    return Meter(storage)
