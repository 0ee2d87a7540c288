"""Server-sent events, encoded once each."""

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus

DONE = b"data: [DONE]\n\n"
"""The last event of every stream."""


def event(data: bytes, name: str = "") -> bytes:
    """``data``, one line of UTF-8, as an event; without a ``name`` it is a message."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data + b"\n\n"


def event_stream(events: AsyncIterator[bytes], keepalive_seconds: float) -> EventSourceResponse:
    """The response that sends each of ``events`` in its own write, with comments in between to
    keep an idle connection open. It stops when the client goes away."""
    return EventSourceResponse(
        events,
        headers={"Cache-Control": "no-cache"},
        ping=keepalive_seconds,
        ping_message_factory=_ping,
        sep="\n",
    )


def let_streams_finish() -> None:
    """Keep sse-starlette from cutting running streams at SIGTERM; the server drains them."""
    AppStatus.enable_automatic_graceful_drain = False


def _ping() -> ServerSentEvent:
    return ServerSentEvent(comment="ping", sep="\n")
