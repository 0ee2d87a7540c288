"""Where a worker waits for its API process."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path


class Listener:
    """A Unix socket for one connection, in a folder that was made for it alone."""

    def __init__(self, path: Path) -> None:
        """Listen on ``path`` from now on. Raises OSError."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._socket.setblocking(False)

    async def accept(self) -> socket.socket:
        """The first connection; nobody else can connect, and nothing is left on disk then."""
        connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
        self._socket.close()
        self.remove()
        return connection

    def remove(self) -> None:
        """Remove the socket, and its folder where that is empty then."""
        with suppress(OSError):
            self._path.unlink()
            self._path.parent.rmdir()
