"""What a server and its workers hold while nobody asks them."""

import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("observed_server.py")))


CACHED_OBJECTS = 400
"""That caches of libraries may take on, however many requests come."""


@dataclass(frozen=True)
class Holding:
    """Counts and sizes of one moment; those of processes are sums."""

    tasks: int
    objects: int
    """Python's, in the server."""
    server_megabytes: float
    worker_megabytes: float
    processes: int
    descriptors: int
    threads: int
    sockets: int
    """Folders with a worker's socket."""

    def assert_no_growth(self, now: "Holding", requests: int) -> None:
        """``now``, after that many requests more, nothing is left of them."""
        grown = f"from {self} to {now}"
        assert now.processes == self.processes, grown
        assert now.sockets == self.sockets, grown
        assert now.tasks <= self.tasks + 2, grown
        assert now.descriptors <= self.descriptors + 4, grown
        assert now.threads <= self.threads + 4, grown
        assert now.objects < self.objects + CACHED_OBJECTS + requests / 2, grown
        assert now.server_megabytes < self.server_megabytes + 8, grown
        assert now.worker_megabytes < self.worker_megabytes + 16, grown


class ObservedServer:
    """A server that restarts lost workers at once and says what it holds."""

    def __init__(self, server: Server, folder: Path, sockets: Path) -> None:
        self.server = server
        self._observed = folder / "observed.json"
        self._sockets = sockets

    @classmethod
    @contextmanager
    def running(cls, folder: Path, config: str) -> Iterator["ObservedServer"]:
        """Run a server of ``config``; it must end in good order."""
        with tempfile.TemporaryDirectory() as sockets:
            server = Server.start(folder, config, PROGRAM, TMPDIR=sockets)
            try:
                yield cls(server, folder, Path(sockets))
            finally:
                server.end()
            assert server.process.returncode == 0
            assert not list(Path(sockets).iterdir()), "a worker has left something behind"

    def holding(self) -> Holding:
        """What it holds now, when its clients have closed their connections and it has, too."""
        process, workers = psutil.Process(self.server.process.pid), self.server.workers()
        wait_until(lambda: not _connections(process), "the end of the connections")
        self._observed.unlink(missing_ok=True)
        process.send_signal(signal.SIGUSR1)
        wait_until(self._observed.exists, "the observation")
        held = json.loads(self._observed.read_text())
        return Holding(
            tasks=held["tasks"],
            objects=held["objects"],
            server_megabytes=_megabytes(process),
            worker_megabytes=sum(map(_megabytes, workers)),
            processes=1 + len(workers),
            descriptors=sum(one.num_fds() for one in (process, *workers)),
            threads=sum(one.num_threads() for one in (process, *workers)),
            sockets=len(list(self._sockets.iterdir())),
        )


def _connections(process: psutil.Process) -> list[object]:
    return [one for one in process.net_connections("tcp") if one.status != psutil.CONN_LISTEN]


def _megabytes(process: psutil.Process) -> float:
    return round(process.memory_info().rss / 2**20, 1)
