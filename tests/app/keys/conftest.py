"""A real Redis server."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class RedisServer:
    """``redis-server`` on a free port, keeping nothing."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        options = {"port": str(self._port), "bind": "127.0.0.1", "save": "", "dir": str(folder)}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            lines = (line for line in output if b"Ready to accept connections" in line)
            assert next(lines, None), "redis-server has ended"

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path)
    yield server
    server.stop()
