"""What happened lately, for those who come later and for those who watch."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Journal(Generic[Entry]):
    """Keeps the last entries; anybody may follow as more come. Belongs to one event loop."""

    def __init__(self, length: int) -> None:
        """``length``: how many entries are kept."""
        self._entries: deque[Entry] = deque(maxlen=length)
        self._written = 0
        self._news = asyncio.Event()
        self._closed = False

    def write(self, entry: Entry) -> None:
        """Add an entry; the oldest is forgotten when there are too many."""
        self._entries.append(entry)
        self._written += 1
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """Nothing more is written: those who follow have come to the end."""
        self._closed = True
        self._news.set()

    def recent(self, count: int | None = None) -> Sequence[Entry]:
        """The last ``count`` entries, oldest first; None: all that are kept."""
        entries = tuple(self._entries)
        return entries if count is None else entries[len(entries) - min(count, len(entries)) :]

    async def follow(self, count: int | None = None) -> AsyncIterator[Entry]:
        """``recent(count)`` and then every entry that is written, until the journal is closed.

        A follower that is slower than entries are forgotten misses those.
        """
        seen = self._written - len(self.recent(count))
        while True:
            for entry in self.recent(self._written - seen):
                yield entry
                seen += 1
            seen = max(seen, self._written - len(self._entries))
            if seen == self._written:
                if self._closed:
                    return
                await self._news.wait()
