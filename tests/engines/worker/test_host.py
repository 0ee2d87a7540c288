import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from codeserve.app.manager.launcher import LocalWorker
from codeserve.engines.types import EngineConfig, TextRequest
from codeserve.engines.worker.wire import (
    Accepted,
    Command,
    Deltas,
    Event,
    Failed,
    FrameReader,
    Generate,
    Load,
    Ready,
    pack,
)
from tests.eventually import eventually

STREAMS = 4

Ask = Callable[..., TextRequest]
Launch = Callable[..., Awaitable[LocalWorker]]


class RawClient:
    """The bare socket of a worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._frames: FrameReader[Event] = FrameReader(reader, Event)
        self.writer = writer

    def send(self, command: Command) -> None:
        self.writer.write(pack(command))

    async def until(self, kind: type[Event]) -> list[Event]:
        """All events up to the first of a kind, or the end."""
        events: list[Event] = []
        while event := await self._frames.read():
            events.append(event)
            if isinstance(event, kind):
                break
        return events


@pytest.fixture
async def worker(launch: Launch) -> LocalWorker:
    return await launch()


@pytest.fixture
async def raw(worker: LocalWorker) -> AsyncIterator[RawClient]:
    await eventually(lambda: os.path.exists(worker.address))
    while True:
        try:
            reader, writer = await asyncio.open_unix_connection(worker.address)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    yield RawClient(reader, writer)
    writer.close()
    await writer.wait_closed()


def load(**options: object) -> Load:
    return Load(EngineConfig(engine="fake", path="/nowhere", options=options))


async def test_the_deltas_of_one_step_travel_in_one_frame(raw: RawClient, ask: Ask) -> None:
    raw.send(load(step_seconds=0.01))
    await raw.until(Ready)
    for _ in range(STREAMS):
        raw.send(Generate(ask()))
    for _ in range(STREAMS):
        await raw.until(Accepted)
    frames: list[Deltas] = []
    while len(frames) < 30:
        *_, last = await raw.until(Deltas)
        assert isinstance(last, Deltas)
        frames.append(last)
    # A heartbeat sent in mid-step ends a frame early; it comes once a second.
    whole = [f for f in frames[3:] if len({request_id for request_id, _ in f.deltas}) == STREAMS]
    assert len(whole) >= 25


async def test_a_failed_step_is_told_once_to_each_request(raw: RawClient, ask: Ask) -> None:
    raw.send(load(step_seconds=0.01, fail_after=10))
    await raw.until(Ready)
    asked = [ask() for _ in range(STREAMS)]
    for request in asked:
        raw.send(Generate(request))
    events = await raw.until(Ready)
    failed = [event for event in events if isinstance(event, Failed)]
    assert sorted(event.id for event in failed) == [request.id for request in asked]


async def test_a_second_connection_is_not_accepted(raw: RawClient, worker: LocalWorker) -> None:
    raw.send(load())
    await raw.until(Ready)
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(worker.address)


async def test_the_worker_exits_when_its_connection_closes(
    raw: RawClient, worker: LocalWorker
) -> None:
    raw.send(load(load_seconds=60.0))
    raw.writer.close()
    assert await worker.wait() == "the worker exited with status 0"


async def test_the_worker_ignores_the_signals_that_are_meant_for_the_server(
    raw: RawClient, worker: LocalWorker, ask: Ask
) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    os.kill(worker.pid, signal.SIGINT)
    raw.send(load())
    assert isinstance((await raw.until(Ready))[-1], Ready)


async def test_a_command_that_makes_no_sense_ends_the_worker_with_an_error(
    raw: RawClient, worker: LocalWorker
) -> None:
    raw.send(load())
    raw.send(load())
    assert await worker.wait() == "the worker exited with status 1"
