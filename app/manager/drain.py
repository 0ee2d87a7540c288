"""The end of a server: no new work, and time for the work that runs."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from codeserve.engines.errors import ModelUnavailable, ServerDraining, ServerError

RETRY_AFTER_SECONDS = 1.0
"""By then whoever spreads requests over servers sends them to another one."""


class Drain:
    """Counts the work in flight, and says when a server that is told to stop waits no longer.

    Belongs to one event loop.
    """

    def __init__(self, seconds: float) -> None:
        """``seconds``: how long the work in flight may take once the drain has begun."""
        self.seconds = seconds
        self.begun = False
        """Whether new work is refused."""
        self.in_flight = 0
        """Requests that are being answered, but for those that only look."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._over = asyncio.Event()
        self._cut_short = asyncio.Event()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Count a request while it is answered."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()

    def begin(self) -> None:
        """Refuse new work from now on."""
        self.begun = True

    def cut_short(self) -> None:
        """Wait for nothing any more."""
        self.begin()
        self._over.set()
        self._cut_short.set()

    async def finish(self) -> None:
        """Wait until all work has ended, or its time is up, or it is cut short: the drain is over
        then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds):
                await _until(self._over, self._idle.wait())
        self._over.set()

    async def until_over(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Await what a server waits for that has work in flight, until the drain is over."""
        await _until(self._over, waiting)

    async def until_cut_short(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Await what a server waits for that ends in good order, until that is cut short."""
        await _until(self._cut_short, waiting)

    def refusal(self) -> ServerDraining:
        """What a request is told that comes after the drain has begun."""
        return ServerDraining(
            "The server is being stopped and takes no more requests. Try again.",
            retry_after=RETRY_AFTER_SECONDS,
        )

    def farewell(self) -> ServerError:
        """What requests are told that have not ended when their model's worker does."""
        if not self.begun:
            return ModelUnavailable("The model was stopped before the request ended.")
        return ServerDraining(
            f"The server was stopped before the request ended. Requests had {self.seconds:g} s "
            "to end by themselves. Try again.",
            retry_after=RETRY_AFTER_SECONDS,
        )


async def _until(event: asyncio.Event, waiting: Coroutine[Any, Any, object]) -> None:
    """Await ``waiting``, which is cancelled when ``event`` is set."""
    tasks = asyncio.create_task(waiting), asyncio.create_task(event.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
