"""Server-sent events, encoded once each."""

import time
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus
from starlette.types import Message, Receive, Scope, Send

DONE = b"data: [DONE]\n\n"
"""The last event of every stream."""

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
"""Of every stream."""

PING = b": ping\n\n"
"""A comment, which clients skip."""


def event(data: bytes, name: str = "") -> bytes:
    """``data``, one line of UTF-8, as an event; without a ``name`` it is a message."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """``text``, made one line, as a comment, which clients skip."""
    return f": {' '.join(text.split())}\n\n".encode(errors="backslashreplace")


class EventStream(EventSourceResponse):
    """Sends each event in its own write, and stops when the client goes away.

    Comments keep a connection open that would be silent for ``keepalive_seconds``. There are none
    between events that flow: of what arrives at once, Continue reads no event after a comment.
    """

    def __init__(self, events: AsyncIterator[bytes], keepalive_seconds: float) -> None:
        self._silence = keepalive_seconds / 2
        super().__init__(
            events,
            headers=HEADERS,
            ping=self._silence,
            ping_message_factory=_ping,
            sep="\n",
        )
        del self.headers["connection"]  # the HTTP server knows whether it stays open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        latest = time.monotonic()

        async def send_unless_needless(message: Message) -> None:
            nonlocal latest
            now = time.monotonic()
            if message.get("body") == PING and now - latest < self._silence:
                return
            latest = now
            await send(message)

        await super().__call__(scope, receive, send_unless_needless)


def let_streams_finish() -> None:
    """Keep sse-starlette from cutting running streams at SIGTERM; the server drains them."""
    AppStatus.enable_automatic_graceful_drain = False


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping", sep="\n")
