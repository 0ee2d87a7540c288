"""Where workers run: starts one and gives back its address. Nothing above knows which place."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from codeserve.app.manager.descendants import any_stopped, end_descendants
from codeserve.app.manager.exit_reason import exit_reason
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.app.manager.spawning import HeadStart, SpawnedWorker

LINE_BYTES = 2000
CHUNK_BYTES = 65536

Log = Callable[[str], None]
"""Is given every line that a worker writes to its standard output or error."""


class WorkerProcess(Protocol):
    """A worker that runs somewhere."""

    @property
    def address(self) -> str:
        """The Unix socket on which it listens, soon or now, for one connection."""

    @property
    def pid(self) -> int | None:
        """The process id; None: it runs on another machine."""

    def is_stopped(self) -> bool:
        """Whether a signal has stopped one of its processes; may take milliseconds."""

    async def wait(self) -> str:
        """Wait until it has ended; how it ended, in a sentence."""

    async def end(self, grace: float) -> None:
        """Give it ``grace`` seconds to end by itself, then kill it; return when it is gone."""


class Launcher(Protocol):
    """Starts workers."""

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> WorkerProcess:
        """Start a worker for ``engine`` in its place, which ends when this process does.

        ``python``: its interpreter; None: the one that runs this code. Raises ModelLoadError.
        """


class LocalLauncher:
    """Starts workers as subprocesses of this process."""

    def __init__(self, head_start: HeadStart | None = None) -> None:
        """``head_start``: a worker that runs already, for the first model that can use it."""
        self._head_start = head_start

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> "LocalWorker":
        """Start a worker that listens in a private folder. Raises ModelLoadError."""
        ahead = self._head_start and self._head_start.take(engine, python, placement)
        worker = ahead or SpawnedWorker(engine, python, placement)
        try:
            return LocalWorker(worker, *await _output_of(worker), log)
        except BaseException:
            worker.kill()
            raise


async def _output_of(worker: SpawnedWorker) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """The reader of what the process writes, and the pipe to be closed after it."""
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), worker.process.stdout
    )
    return reader, pipe


class LocalWorker:
    """A subprocess that lives at most as long as this process, which holds its standard input."""

    def __init__(
        self,
        worker: SpawnedWorker,
        output: asyncio.StreamReader,
        pipe: asyncio.ReadTransport,
        log: Log,
    ) -> None:
        self._worker = worker
        self._pipe = pipe
        self._process = worker.process
        self._logging = asyncio.create_task(_log_lines(output, log))
        self._ending = asyncio.create_task(self._wait())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def address(self) -> str:
        """Path of the Unix socket."""
        return str(self._worker.socket)

    def is_stopped(self) -> bool:
        """Whether a signal has stopped the process or one that its engine has started."""
        return any_stopped(self.pid)

    async def wait(self) -> str:
        """Wait until the process and all that its engine has started have ended and the last line
        is logged; how it ended."""
        return await asyncio.shield(self._ending)

    async def end(self, grace: float) -> None:
        """Give the process ``grace`` seconds to end by itself, then kill it and wait."""
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            # By its id, which is still its own: Popen.kill may reap it before its descendants end.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            await self.wait()
        finally:
            self._pipe.close()
            self._worker.close()

    async def _wait(self) -> str:
        await _exit_of(self._process.pid, self._logging)
        await end_descendants(self._process.pid)
        await asyncio.wait([self._logging])
        return exit_reason(await asyncio.to_thread(self._process.wait))


async def _exit_of(pid: int, logging: asyncio.Task[None]) -> None:
    """Wait until a child process has ended, and leave it to be reaped.

    Where the kernel does not tell, the end of its output does.
    """
    if sys.platform != "linux":
        await asyncio.wait([logging])
        await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    loop, ended, process = asyncio.get_running_loop(), asyncio.Event(), os.pidfd_open(pid)
    try:
        loop.add_reader(process, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)


async def _log_lines(output: asyncio.StreamReader, log: Log) -> None:
    """Log what a process writes by lines; a carriage return, as in a progress bar, ends one.

    A line without end is cut, so that it cannot fill the memory.
    """
    rest = b""
    while chunk := await output.read(CHUNK_BYTES):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _log_line(line, log)
    _log_line(rest, log)


def _log_line(line: bytes, log: Log) -> None:
    if line.strip():
        log(line[:LINE_BYTES].decode(errors="replace").rstrip())
