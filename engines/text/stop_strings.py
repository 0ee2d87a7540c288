"""Texts that end a generation and are not shown."""

import re
from collections.abc import Sequence

from codeserve.engines.errors import InvalidRequest


class StopStrings:
    """Passes one stream of text on until a stop string begins.

    The stop string that begins first wins; of several that begin at one place, the shortest, which
    is complete first. The outcome does not depend on how the text is cut into chunks: text that may
    still turn out to be the beginning of a stop string is held back.
    """

    def __init__(self, stops: Sequence[str], *, include: bool = False) -> None:
        """``include``: the stop string itself is passed on. Raises InvalidRequest for an empty
        stop string."""
        if not all(stops):
            raise InvalidRequest("A stop string must not be empty.", param="stop")
        by_length = sorted(stops, key=len)
        self._pattern = re.compile("|".join(map(re.escape, by_length))) if stops else None
        self._beginnings = {stop[:end] for stop in stops for end in range(1, len(stop))}
        self._longest_beginning = max(map(len, self._beginnings), default=0)
        self._include = include
        self._held = ""
        self.matched: str | None = None
        """The stop string that ended the stream."""

    @property
    def holds_text(self) -> bool:
        """Whether text is held back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """The text that can be shown now; nothing after a match."""
        if self._pattern is None:
            return text
        if self.matched is not None:
            return ""
        text = self._held + text
        match = self._pattern.search(text)
        open_from = self._first_open(text)
        if match is not None and match.start() <= open_from:
            return self._end(text, match)
        self._held = text[open_from:]
        return text[:open_from]

    def finish(self) -> str:
        """The text that was held back, now that nothing follows."""
        text, self._held = self._held, ""
        match = self._pattern.search(text) if self._pattern else None
        return text if match is None else self._end(text, match)

    def _first_open(self, text: str) -> int:
        """Where the earliest unfinished stop string begins; ``len(text)`` if there is none."""
        for start in range(max(0, len(text) - self._longest_beginning), len(text)):
            if text[start:] in self._beginnings:
                return start
        return len(text)

    def _end(self, text: str, match: re.Match[str]) -> str:
        self._held = ""
        self.matched = match[0]
        return text[: match.end() if self._include else match.start()]
