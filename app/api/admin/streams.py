"""Entries as server-sent events, as they come."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from codeserve.app.edge.sse import EventStream, event


def event_stream(entries: AsyncIterator[Any], keepalive_seconds: float) -> EventStream:
    """Each of ``entries`` as JSON in an event of its own."""
    return EventStream(_events(entries), keepalive_seconds)


async def _events(entries: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield event(msgspec.json.encode(entry))
