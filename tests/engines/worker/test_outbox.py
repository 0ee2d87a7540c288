import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from codeserve.engines.types import EngineLoad, TextDelta
from codeserve.engines.worker.outbox import Outbox
from codeserve.engines.worker.wire import Accepted, Deltas, Event, FrameReader, Heartbeat, pack

HEARTBEAT = Heartbeat(EngineLoad(running=0, waiting=0, steps=0))


class Wire:
    """An outbox and the socket that its frames arrive at."""

    def __init__(self, writer: asyncio.StreamWriter, far: socket.socket) -> None:
        self.writer = writer
        self.outbox = Outbox(writer)
        self.far = far

    async def arrived(self) -> list[Event]:
        """Everything written, after hanging up."""
        reader, writer = await asyncio.open_unix_connection(sock=self.far)
        frames: FrameReader[Event] = FrameReader(reader, Event)
        await self.outbox.close()
        events = []
        while event := await frames.read():
            events.append(event)
        writer.close()
        await writer.wait_closed()
        return events


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    near, far = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=near)
    yield Wire(writer, far)
    writer.close()
    far.close()


async def test_deltas_of_one_iteration_of_the_loop_share_a_frame(wire: Wire) -> None:
    steps = [[(str(n), TextDelta(text=text)) for n in range(8)] for text in "ab"]
    for step in steps:
        for request_id, delta in step:
            wire.outbox.add(request_id, delta)
        await asyncio.sleep(0)
    assert await wire.arrived() == [Deltas(tuple(step)) for step in steps]


async def test_other_events_keep_their_place_among_deltas(wire: Wire) -> None:
    delta = TextDelta(text="a")
    wire.outbox.add("1", delta)
    wire.outbox.send(Accepted("2", 5))
    wire.outbox.add("2", delta)
    assert await wire.arrived() == [
        Deltas((("1", delta),)),
        Accepted("2", 5),
        Deltas((("2", delta),)),
    ]


async def test_writing_waits_for_a_peer_that_does_not_read(wire: Wire) -> None:
    async def write() -> None:
        while True:
            wire.outbox.send(HEARTBEAT)
            await wire.outbox.room()

    writing = asyncio.create_task(write())
    await asyncio.sleep(0)
    _, high_water = wire.writer.transport.get_write_buffer_limits()
    unread = wire.writer.transport.get_write_buffer_size()
    assert high_water < unread <= high_water + len(pack(HEARTBEAT))
    writing.cancel()


async def test_a_peer_that_has_gone_does_not_make_writing_fail(wire: Wire) -> None:
    wire.far.close()
    for _ in range(10):
        wire.outbox.send(HEARTBEAT)
        await wire.outbox.room()
        await asyncio.sleep(0)
    await wire.outbox.close()
