"""Streams of newline-delimited JSON."""

from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from codeserve.app.edge.disconnect import ClientDisconnected, until_disconnect


def line(document: bytes) -> bytes:
    """``document``, compact JSON in UTF-8, as a line."""
    return document + b"\n"


class NdjsonResponse(StreamingResponse):
    """Sends each line in a write of its own and stops when the client goes away.

    Nothing is sent in between to keep an idle connection open: many clients take each read for a
    document.
    """

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, headers={"Cache-Control": "no-cache"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with suppress(ClientDisconnected):
            await until_disconnect(Request(scope, receive), self.stream_response(send))
