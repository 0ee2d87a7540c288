"""Event streams that begin before their handler knows what to send: comments tell the client what
it waits for, and keep its connection open."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.sse import HEADERS, comment


class EarlyStream:
    """The response of one request, which may begin before its handler gives one."""

    def __init__(self, send: Send, silence: float) -> None:
        """``silence``: seconds between two comments, and before the first one."""
        self._send = send
        self._silence = silence
        self._begun = False
        self._taken = False

    @property
    def is_open(self) -> bool:
        """Whether the stream has begun, and only with comments."""
        return self._begun and not self._taken

    async def during(self, work: asyncio.Task[Any], told: Callable[[], str]) -> None:
        """Wait until ``work`` is done; where that takes long, the stream begins and says ``told``,
        again and again."""
        while not (await asyncio.wait((work,), timeout=self._silence))[0]:
            await self._say(told())

    async def send(self, message: Message) -> None:
        """Send what the handler has to say; a stream that has begun goes on with it."""
        if message["type"] == "http.response.start" and self.is_open:
            self._taken = True
            return
        await self._send(message)

    async def _say(self, text: str) -> None:
        if not self._begun:
            self._begun = True
            headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        body = comment(text)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


class EarlyStreams:
    """Lets every request begin its stream early. Belongs within what adds headers, and around what
    answers errors."""

    def __init__(self, app: ASGIApp, silence: float) -> None:
        self._app = app
        self._silence = silence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        early = EarlyStream(send, self._silence)
        scope["state"]["early_stream"] = early
        await self._app(scope, receive, early.send)


def early_stream(scope: Scope) -> EarlyStream:
    """The response of the request of ``scope``."""
    early: EarlyStream = scope["state"]["early_stream"]
    return early


def has_begun(scope: Scope) -> bool:
    """Whether the request of ``scope`` is answered by a stream that has only comments yet."""
    return "early_stream" in scope["state"] and early_stream(scope).is_open
