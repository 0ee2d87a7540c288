"""Worker processes, from their first moment on.

Nothing here needs an event loop or a heavy import, so that the command line can start a worker
before it has read its own settings.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.engines import worker
from codeserve.engines.errors import ModelLoadError

START = Path(worker.__path__[0], "start.py")
"""Makes this package importable in the interpreter that runs it, so nobody else may import it."""
SOCKET_PATH_BYTES = 103
"""The longest path that a Unix socket may have on every system."""

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Large allocations ask for transparent huge pages, where the system grants them on request. A
llama.cpp that clears its KV cache, as set-up's does not, takes a third of the time for that."""


class SpawnedWorker:
    """A worker's process, which lives at most as long as this one: it holds its standard input.

    The worker removes the folder of its socket when there is a connection, or this process ends.
    """

    def __init__(
        self, engine: str, python: str | None = None, placement: Placement = ANYWHERE
    ) -> None:
        """Start a worker that imports ``engine`` and listens in a private folder.

        ``python``: the interpreter of the environment with the engine's packages; None: this one.
        ``placement`` holds from the process's first moment on. Raises ModelLoadError.
        """
        self.engine = engine
        self.python = python
        self.socket = _private_socket()
        try:
            with _confined(placement.cores):
                self.process = subprocess.Popen(
                    [
                        *(python or sys.executable, "-P", "-u", str(START)),
                        *("--engine", engine, "--socket", str(self.socket)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**_environment(os.environ), **_visible(placement.gpus)},
                )
        except OSError as error:
            shutil.rmtree(self.socket.parent)
            raise ModelLoadError(f"A worker process cannot be started: {error}") from error

    def kill(self) -> None:
        """End the process at once and leave nothing behind."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.close()

    def close(self) -> None:
        """Let go of a process that has ended, and leave no folder behind."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        shutil.rmtree(self.socket.parent, ignore_errors=True)


class HeadStart:
    """A worker that was started before anybody knew what to load; the first model may take it."""

    def __init__(self, engine: str | None) -> None:
        """Start a worker for ``engine``, or none; where that fails, the first model says why."""
        self._worker: SpawnedWorker | None = None
        if engine is None:
            return
        with suppress(ModelLoadError):
            self._worker = SpawnedWorker(engine)

    def take(
        self, engine: str, python: str | None, placement: Placement = ANYWHERE
    ) -> SpawnedWorker | None:
        """The worker if it is one for ``engine``, runs on ``python`` and may run anywhere; else it
        is ended.

        The next calls get None.
        """
        worker, self._worker = self._worker, None
        wanted = (engine, python, placement)
        if worker is None or (worker.engine, worker.python, ANYWHERE) == wanted:
            return worker
        worker.kill()
        return None

    def end(self) -> None:
        """End the worker if nobody has taken it; the next calls do nothing."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()


@contextmanager
def head_start(engine: str | None) -> Iterator[HeadStart]:
    """A head start for ``engine`` that leaves nothing behind; None: no head start."""
    ahead = HeadStart(engine)
    try:
        yield ahead
    finally:
        ahead.end()


def _environment(inherited: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a worker; what the operator has set wins."""
    return {**HUGE_PAGES, **inherited}


def _visible(gpus: Sequence[int] | None) -> Mapping[str, str]:
    """The variables that leave a worker these GPUs, counted as the driver counts them."""
    if gpus is None:
        return {}
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)),
    }


@contextmanager
def _confined(cores: Sequence[int] | None) -> Iterator[None]:
    """Processes that this thread starts meanwhile run on ``cores``, as do all their threads.

    Raises OSError where there are no such cores.
    """
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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
