import socket
from contextlib import closing

import httpx
import pytest

from tests.app.conftest import RunningServer


def answer(server: RunningServer, request: bytes) -> bytes:
    """All that the server says to ``request`` until it closes the connection."""
    url = httpx.URL(server.url)
    with closing(socket.create_connection((url.host, url.port or 80), timeout=30)) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as response:
            return response.read()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_unread_body_does_not_cost_the_answer(server: RunningServer, version: bytes) -> None:
    body = b" " * 5_000_000
    head = b"POST / HTTP/%s\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    response = answer(server, head % (version, len(body)) + body)
    assert response.split()[1] == b"413"
    assert response.endswith(b"}")


def test_a_client_that_asks_first_need_not_send(server: RunningServer) -> None:
    head = b"POST /none HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 9\r\n"
    assert answer(server, head + b"Expect: 100-continue\r\n\r\n").split()[1] == b"404"
