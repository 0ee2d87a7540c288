"""One request and its answer, and what must be given back when both are over."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from codeserve.app.edge.disconnect import until_disconnect
from codeserve.app.edge.early import early_stream
from codeserve.app.edge.record import RequestRecord, record_of
from codeserve.app.edge.shapes import shape_of
from codeserve.engines.errors import ServingError

Resource = TypeVar("Resource")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way; a dependency of the routes that generate."""

    request: Request
    resources: AsyncExitStack
    """What ``Resources`` closes."""

    @property
    def record(self) -> RequestRecord:
        """What the log line will say."""
        return record_of(self.request.scope)

    async def acquire(
        self, resource: AbstractAsyncContextManager[Resource], told: Callable[[], str] | None
    ) -> Resource:
        """Enter ``resource`` for the rest of the exchange, however long that takes.

        ``told``: what the client of an event stream is told meanwhile, in comments; None: nothing,
        as the answer will be none. Raises ClientDisconnected, and what entering raises.
        """
        entering = asyncio.create_task(self.resources.enter_async_context(resource))
        try:
            await asyncio.sleep(0)  # what is there at once is not worth watching the client for
            if not entering.done():
                await until_disconnect(self.request, self._waiting(entering, told))
            return entering.result()
        finally:
            if not entering.done():
                entering.cancel()
                await asyncio.wait((entering,))

    async def _waiting(
        self, entering: asyncio.Task[Resource], told: Callable[[], str] | None
    ) -> None:
        if told is None:
            await asyncio.wait((entering,))
        else:
            await early_stream(self.request.scope).during(entering, told)

    def error_frame(self, error: ServingError) -> bytes:
        """``error`` in the dialect's shape, one line of JSON, for a stream that has begun."""
        return shape_of(self.request.scope).body(error, self.record.id)


class Resources:
    """Gives every request a stack of what must be given back when its response, streamed or not,
    has ended for whatever reason."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as resources:
            scope["state"]["resources"] = resources
            await self._app(scope, receive, send)


async def open_exchange(request: Request) -> Exchange:
    """The exchange of ``request``."""
    return Exchange(request, request.scope["state"]["resources"])


CurrentExchange = Annotated[Exchange, Depends(open_exchange)]
