"""A server that is told to stop takes no new work, and says so while its port stays open."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.errors import error_response
from codeserve.app.manager.drain import Drain

LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing and compute nothing: probes, metrics, lists."""


class RefuseWhileDraining:
    """Counts the work in flight and refuses more once the drain has begun.

    Every response that begins after that closes its connection, so that the client's next request
    finds another server. Belongs within what gives a request its record and its error shape.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and self._drain.begun:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        if scope["method"] in LOOKING:
            await self._app(scope, receive, send_last)
            return
        if self._drain.begun:
            response = error_response(self._drain.refusal(), scope)
            await response(scope, receive, send_last)
            return
        with self._drain.work():
            await self._app(scope, receive, send_last)
