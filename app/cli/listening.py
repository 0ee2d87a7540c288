"""The port, bound before anything is loaded."""

import errno
import socket

from codeserve.app.cli.failure import fail


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port``; where that cannot be, the command ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fail(f"port {port} on {host} is in use; choose another with --port")
        fail(f"cannot listen on {host} port {port}: {error.strerror}")


def url_of(listener: socket.socket, *, secure: bool = False) -> str:
    """Where a client on this machine reaches ``listener``; ``secure``: by TLS."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if secure else "http"
    return (
        f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"
    )
