"""Where workers run: starts one and gives back its address. Nothing above knows which place."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from codeserve.app.manager.exit_reason import exit_reason
from codeserve.engines.errors import ModelLoadError

SOCKET_PATH_BYTES = 103
"""The longest path that a Unix socket may have on every system."""
LINE_BYTES = 2000
CHUNK_BYTES = 65536

Log = Callable[[str], None]
"""Is given every line that a worker writes to its standard output or error."""


class WorkerProcess(Protocol):
    """A worker that runs somewhere."""

    @property
    def address(self) -> str:
        """The Unix socket on which it listens, soon or now."""

    async def wait(self) -> str:
        """Wait until it has ended; how it ended, in a sentence."""

    async def end(self, grace: float) -> None:
        """Give it ``grace`` seconds to end by itself, then kill it; return when it is gone."""


class Launcher(Protocol):
    """Starts workers."""

    async def launch(self, log: Log) -> WorkerProcess:
        """Start a worker that ends when this process does. Raises ModelLoadError."""


class LocalLauncher:
    """Starts workers as subprocesses of this process."""

    async def launch(self, log: Log) -> "LocalWorker":
        """Start a worker that listens in a private folder. Raises ModelLoadError."""
        socket = _private_socket()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-u", "-m", "codeserve.engines.worker", "--socket", str(socket)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException as error:
            shutil.rmtree(socket.parent)
            if isinstance(error, OSError):
                raise ModelLoadError(f"A worker process cannot be started: {error}") from error
            raise
        return LocalWorker(process, socket, log)


def _private_socket() -> Path:
    """A path for a socket in a new folder that only this user may enter."""
    folder = tempfile.mkdtemp(prefix="codeserve-")
    socket = Path(folder, "worker.sock")
    if len(bytes(socket)) > SOCKET_PATH_BYTES:
        shutil.rmtree(folder)
        raise ModelLoadError(
            f"{socket} is too long for the path of a socket: it may have {SOCKET_PATH_BYTES} "
            "bytes. Set TMPDIR to a folder with a shorter path."
        )
    return socket


class LocalWorker:
    """A subprocess that lives at most as long as this process, which holds its standard input."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path, log: Log) -> None:
        self._process = process
        self._socket = socket
        self._logging = asyncio.create_task(self._log_lines(log))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def address(self) -> str:
        """Path of the Unix socket."""
        return str(self._socket)

    async def wait(self) -> str:
        """Wait until the process has ended and its last line is logged; how it ended."""
        await asyncio.wait([self._logging])
        return exit_reason(await self._process.wait())

    async def end(self, grace: float) -> None:
        """Give the process ``grace`` seconds to end by itself, then kill it and wait.

        Processes that its engine has started and left behind are killed with it.
        """
        try:
            await asyncio.wait_for(self.wait(), grace)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self.wait()
        finally:
            shutil.rmtree(self._socket.parent, ignore_errors=True)

    async def _log_lines(self, log: Log) -> None:
        """Log what the process writes by lines; a carriage return, as in a progress bar, ends one.

        A line without end is cut, so that it cannot fill the memory.
        """
        rest = b""
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            if len(rest) > LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                _log_line(line, log)
        _log_line(rest, log)


def _log_line(line: bytes, log: Log) -> None:
    if line.strip():
        log(line[:LINE_BYTES].decode(errors="replace").rstrip())
