"""One request and its answer, and what must be given back when both are over."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from codeserve.app.edge.record import RequestRecord, record_of


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way; a dependency of the routes that generate."""

    request: Request
    resources: AsyncExitStack
    """Closed when the response, streamed or not, has ended for whatever reason."""

    @property
    def record(self) -> RequestRecord:
        """What the log line will say."""
        return record_of(self.request.scope)


async def open_exchange(request: Request) -> AsyncIterator[Exchange]:
    """The exchange of ``request``. FastAPI resumes this after the response has been sent."""
    async with AsyncExitStack() as resources:
        yield Exchange(request, resources)


CurrentExchange = Annotated[Exchange, Depends(open_exchange)]
