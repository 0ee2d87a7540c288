"""Workers that live in this process and start at once, for tests that need very many."""

import asyncio
import itertools
import socket
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from codeserve.app.manager.launcher import Log
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.fake import FakeBackend
from codeserve.engines.types import EngineConfig, FinishReason, TextDelta, Usage
from codeserve.engines.worker.wire import (
    Accepted,
    Command,
    Deltas,
    ErrorReport,
    Event,
    FrameReader,
    Generate,
    Load,
    LoadFailed,
    LoadProgress,
    Ready,
    Shutdown,
    pack,
)


class StandIn:
    """Speaks a worker's language; its options are those of the fake engine."""

    pid = None

    def __init__(self, folder: str) -> None:
        self.address = f"{folder}.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind(self.address)
        self._listener.listen()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._run(self._serve())

    @property
    def lives(self) -> bool:
        return not self._ended.done()

    def is_stopped(self) -> bool:
        return False

    async def wait(self) -> str:
        return await asyncio.shield(self._ended)

    async def end(self, grace: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.wait()
        self.die("the worker was killed by SIGKILL")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def die(self, how: str) -> None:
        """End like a process: at once, with all that it does."""
        if self._ended.done():
            return
        self._ended.set_result(how)
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _run(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        """Serve the first who connects, until it hangs up or the worker is to end."""
        reader, writer = await asyncio.open_unix_connection(sock=await self._connection())
        try:
            await self._obey(FrameReader(reader, Command), writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        self.die("the worker exited with status 0")

    async def _connection(self) -> socket.socket:
        """The first connection; looked for again and again, so that nothing can be cancelled
        halfway."""
        while True:
            with suppress(BlockingIOError):
                return self._listener.accept()[0]
            await asyncio.sleep(0.0005)

    async def _obey(self, commands: FrameReader[Command], writer: asyncio.StreamWriter) -> None:
        while command := await commands.read():
            match command:
                case Load(config):
                    self._run(self._load(config, writer))
                case Generate(request):
                    self._run(self._generate(request.id, request.max_tokens or 1, writer))
                case Shutdown():
                    return

    async def _load(self, config: EngineConfig, writer: asyncio.StreamWriter) -> None:
        options = config.options
        _send(writer, LoadProgress("weights", 0.0))
        await asyncio.sleep(options.get("load_seconds", 0.0))
        if "fail_load" in options:
            _send(writer, LoadFailed(ErrorReport.of(ModelLoadError(options["fail_load"]))))
            return
        info = FakeBackend(msgspec.structs.replace(config, options={})).load(lambda *_: None)
        _send(writer, LoadProgress("proving", 0.0))
        _send(writer, Ready(info))

    async def _generate(self, request_id: str, tokens: int, writer: asyncio.StreamWriter) -> None:
        _send(writer, Accepted(request_id, 1))
        for number in range(tokens):
            await asyncio.sleep(0.001)
            last = number == tokens - 1
            delta = TextDelta(
                text="a",
                finish_reason=FinishReason.LENGTH if last else None,
                usage=Usage(prompt_tokens=1, completion_tokens=tokens) if last else None,
            )
            _send(writer, Deltas(((request_id, delta),)))


def _send(writer: asyncio.StreamWriter, event: Event) -> None:
    with suppress(ConnectionError):
        writer.write(pack(event))


class StandInLauncher:
    """Launches stand-ins and remembers them."""

    def __init__(self) -> None:
        self.workers: list[StandIn] = []
        self._folder = tempfile.TemporaryDirectory()
        self._numbers = itertools.count()

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> StandIn:
        worker = StandIn(f"{self._folder.name}/{next(self._numbers)}")
        self.workers.append(worker)
        return worker

    @property
    def alive(self) -> list[StandIn]:
        return [worker for worker in self.workers if worker.lives]

    def close(self) -> None:
        self._folder.cleanup()
