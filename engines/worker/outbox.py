"""Frames on their way to the API process."""

import asyncio
from contextlib import suppress

from codeserve.engines.types import TextDelta
from codeserve.engines.worker.wire import Deltas, Event, pack


class Outbox:
    """Writes events in the order given; all deltas of one engine step share a frame.

    An engine wakes the readers of one step in the same iteration of the event loop, so deltas
    are collected until the next iteration.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._deltas: list[tuple[str, TextDelta]] = []

    def send(self, event: Event) -> None:
        """Write ``event`` after the deltas collected so far."""
        self.flush()
        self._writer.write(pack(event))

    def add(self, request_id: str, delta: TextDelta) -> None:
        """Collect ``delta`` for the frame of this engine step."""
        if not self._deltas:
            asyncio.get_running_loop().call_soon(self.flush)
        self._deltas.append((request_id, delta))

    def flush(self) -> None:
        """Write the deltas collected so far."""
        if self._deltas:
            deltas, self._deltas = tuple(self._deltas), []
            self._writer.write(pack(Deltas(deltas)))

    async def room(self) -> None:
        """Wait while the API process reads more slowly than the engine produces."""
        with suppress(ConnectionError):
            await self._writer.drain()

    async def close(self) -> None:
        """Wait until all is written, and hang up."""
        self.flush()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
