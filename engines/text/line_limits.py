"""Limits on lines, for completions beside a cursor."""

import time
from collections.abc import Callable

BLANK = " \t\r"


class LineLimits:
    """Ends a text after its time at the end of a line, or before a line that is indented less.

    These are ``t_max_predict_ms`` and ``n_indent`` of llama.cpp's server; unlike there, an empty
    line is not one that is indented less.
    """

    def __init__(
        self,
        line_seconds: float | None = None,
        least_indent: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``line_seconds`` counts from the first text; None: as long as it takes."""
        self._line_seconds = line_seconds
        self._least_indent = least_indent
        self._clock = clock
        self._started: float | None = None
        self._has_line = False
        self._held = ""
        self._at_line_start = False
        self.is_reached = False
        """Whether the text has ended."""

    @property
    def holds_text(self) -> bool:
        """Whether indentation is held back."""
        return bool(self._held)

    def feed(self, text: str) -> str:
        """``text`` up to a limit. Indentation is held back until what follows is known."""
        if self._line_seconds is None and not self._least_indent:
            return text
        if self._started is None:
            self._started = self._clock()
        shown = self._indented(text) if self._least_indent else text
        self._has_line = self._has_line or "\n" in shown
        if self._line_seconds is not None and self._has_line:
            self.is_reached |= self._clock() - self._started >= self._line_seconds
        return shown

    def finish(self) -> str:
        """The text that was held back, where no limit has cut it off."""
        return "" if self.is_reached else self._held

    def _indented(self, text: str) -> str:
        first, *rest = (self._held + text).split("\n")
        self._held, shown = "", []
        lines = [(first, self._at_line_start), *((line, True) for line in rest)]
        for index, (line, is_whole) in enumerate(lines):
            ends = index < len(rest)
            if is_whole and not ends and not line.strip(BLANK):
                self._held, self._at_line_start = line, True
                break
            if is_whole and line.strip(BLANK) and _indent(line) < self._least_indent:
                self.is_reached = True
                break
            shown.append(line + "\n" * ends)
            self._at_line_start = False
        return "".join(shown)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(BLANK))
