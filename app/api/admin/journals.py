"""What happened lately: events of all models, and what a model's workers write."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel

from codeserve.app.api.admin.streams import event_stream
from codeserve.app.edge.sse import EventStream
from codeserve.app.manager.events import EventKind, ModelEvent
from codeserve.app.manager.manager import ModelManager

LineCount = Annotated[
    int | None,
    Query(ge=0, description="Only so many, the last ones; all that are kept if omitted."),
]
Follow = Annotated[bool, Query(description="Go on with what comes, as server-sent events.")]


class EventReply(BaseModel):
    """One thing that happened to a model, or to a family."""

    at: float
    model: str
    kind: EventKind
    state: str | None
    message: str

    @classmethod
    def of(cls, happened: ModelEvent) -> "EventReply":
        """``happened`` for clients."""
        return cls(**msgspec.structs.asdict(happened))


class EventList(BaseModel):
    """GET /v1/events."""

    object: Literal["list"] = "list"
    data: list[EventReply]


class LogLines(BaseModel):
    """GET /v1/models/{id}/logs."""

    lines: list[str]


class JournalsHandler:
    """Serves the journals of the server and of its models."""

    def __init__(self, manager: ModelManager, keepalive_seconds: float) -> None:
        self._manager = manager
        self._keepalive_seconds = keepalive_seconds

    async def events(
        self, lines: LineCount = None, follow: Follow = False
    ) -> EventList | EventStream:
        """What happened to models, oldest first: launches, states, and why they changed."""
        journal = self._manager.events
        if follow:
            return event_stream(_happened(journal.follow(lines)), self._keepalive_seconds)
        return EventList(data=[EventReply.of(one) for one in journal.recent(lines)])

    async def logs(
        self, model_id: str, lines: LineCount = None, follow: Follow = False
    ) -> LogLines | EventStream:
        """What a model's workers have written, oldest first, in whatever state the model is."""
        journal = self._manager.log(model_id)
        if follow:
            return event_stream(_written(journal.follow(lines)), self._keepalive_seconds)
        return LogLines(lines=list(journal.recent(lines)))


async def _happened(events: AsyncIterator[ModelEvent]) -> AsyncIterator[dict[str, object]]:
    async for one in events:
        yield EventReply.of(one).model_dump(mode="json")


async def _written(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, object]]:
    async for line in lines:
        yield {"line": line}
