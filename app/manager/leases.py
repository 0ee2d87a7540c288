"""Who uses a model, and who waits for it."""

import asyncio
import time
from contextlib import suppress

from codeserve.app.manager.admission import Admission
from codeserve.app.manager.service_rate import ServiceRate
from codeserve.engines.errors import QueueFull

SOONEST_RETRY, LATEST_RETRY = 1.0, 60.0
"""Seconds after which a refused request may be worth another try."""


class Leases:
    """Counts the requests that use a model, queues those that wait until it is loaded, and refuses
    one that is too many.

    Belongs to one event loop. A lease is counted from the moment it is granted, whenever the
    request goes on, so that nobody unloads the model in between.
    """

    def __init__(self, admission: Admission) -> None:
        """``admission``: how many there may be."""
        self.admission = admission
        self.held = 0
        """Requests that use the model."""
        self.last_used: float | None = None
        """When a lease was last taken or given back, on the monotonic clock; None: never."""
        self._waiting: dict[asyncio.Future[None], float] = {}
        self._unused = asyncio.Event()
        self._unused.set()
        self._rate = ServiceRate(admission.slots)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def last_used_at(self) -> float | None:
        """``last_used`` in Unix time."""
        if self.last_used is None:
            return None
        return time.time() - (time.monotonic() - self.last_used)

    @property
    def waiting_since(self) -> float | None:
        """When the oldest of them came, on the monotonic clock; None: none waits."""
        return min(self._waiting.values(), default=None)

    @property
    def retry_after(self) -> float:
        """Seconds until those who wait now will have been served, at the rate of late."""
        beyond = max(1, self.held + self.waiting - self.admission.slots)
        seconds = self._rate.seconds_for(beyond, time.monotonic())
        return min(max(seconds, SOONEST_RETRY), LATEST_RETRY)

    @property
    def oldest_wait(self) -> float:
        """Seconds since then; 0: none waits."""
        since = self.waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def take(self) -> None:
        """Count a lease. Raises QueueFull."""
        self._check_room()
        self._hold()

    def give_back(self) -> None:
        """A leased request has ended."""
        self.held -= 1
        self.last_used = time.monotonic()
        self._rate.end(self.last_used)
        if self.held == 0:
            self._unused.set()

    async def wait(self, patience: float) -> None:
        """Wait until a lease is granted, and hold it then.

        Raises QueueFull, TimeoutError after ``patience`` seconds, and what the request is refused
        with.
        """
        self._check_room()
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[granted] = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                await granted
        except (TimeoutError, asyncio.CancelledError):
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.give_back()
            raise
        finally:
            self._waiting.pop(granted, None)

    def grant(self) -> None:
        """Give a lease to every request that waits."""
        for waiter in self._end_waiting():
            self._hold()
            waiter.set_result(None)

    def refuse(self, error: Exception) -> None:
        """Have every request that waits raise ``error``."""
        for waiter in self._end_waiting():
            waiter.set_exception(error)

    async def unused(self, patience: float) -> None:
        """Wait until nobody uses the model, but ``patience`` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._unused.wait()

    def _check_room(self) -> None:
        there = self.held + self.waiting
        if there >= self.admission.most:
            raise QueueFull(
                f"{there} requests are running or waiting for this model, as many as allowed "
                "(max_concurrency and max_waiting). Try again later.",
                retry_after=self.retry_after,
            )

    def _hold(self) -> None:
        self.held += 1
        self.last_used = time.monotonic()
        self._rate.begin(self.last_used)
        self._unused.clear()

    def _end_waiting(self) -> list[asyncio.Future[None]]:
        waiters = [waiter for waiter in self._waiting if not waiter.done()]
        self._waiting.clear()
        return waiters
