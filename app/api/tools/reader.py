"""Tool calls, read from the text that a model writes, as it comes."""

from collections.abc import Callable, Sequence

import msgspec

from codeserve.app.api.tools.call_form import CLOSING, HEAD, MIDDLE, OPENING, WHITE_SPACE
from codeserve.app.api.tools.tool import new_call_id


class TextPiece(msgspec.Struct, frozen=True):
    """Text that is no call."""

    text: str


class CallBegun(msgspec.Struct, frozen=True):
    """A call, of which the arguments follow."""

    index: int
    """0 for the answer's first call."""
    id: str
    name: str


class ArgumentsPiece(msgspec.Struct, frozen=True):
    """More of the arguments of a call, as raw JSON."""

    index: int
    text: str


Piece = TextPiece | CallBegun | ArgumentsPiece


class _Held(Exception):
    """What has come may go on in more than one way."""


class _Broken(Exception):
    """What has come is not of the form of calls."""


class ToolCallReader:
    """Tells calls from text. Only an answer's beginning can be a call; it is held back until that
    is clear. Feed it one answer."""

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        """``new_id`` makes the id of each call."""
        self._new_id = new_id
        self._held = ""
        self._state: Callable[[], None] = self._opening
        self._pieces: list[Piece] = []
        self._index = -1
        self._scan = _ObjectScan()
        self.is_complete = False
        """Calls have come, to the end of the last."""

    def feed(self, text: str) -> list[Piece]:
        """What ``text`` adds."""
        self._held += text
        try:
            while self._held:
                self._state()
        except _Held:
            pass
        except _Broken:
            self._state = self._text
            self._text()
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> list[Piece]:
        """What was held back and is text after all; an unfinished call stays unfinished."""
        held, self._held = self._held, ""
        return [TextPiece(held)] if held and self._state == self._opening else []

    def _opening(self) -> None:
        self._held = _after(self._held, OPENING)
        self._state = self._head

    def _text(self) -> None:
        self._pieces.append(TextPiece(self._held))
        self._held = ""

    def _head(self) -> None:
        name, quote, rest = _after(self._held, HEAD).partition('"')
        if not quote:
            raise _Held
        self._held = "{" + _after(rest, (*MIDDLE, "{"))
        self._index += 1
        self._pieces.append(CallBegun(self._index, self._new_id(), name))
        self._state, self._scan = self._arguments, _ObjectScan()

    def _arguments(self) -> None:
        end = self._scan.end(self._held)
        self._pieces.append(ArgumentsPiece(self._index, self._held[:end]))
        self._held = self._held[end:]
        if self._scan.is_over:
            self._state = self._next

    def _next(self) -> None:
        rest = _after(self._held, "}").lstrip(WHITE_SPACE)
        if not rest:
            raise _Held
        if rest[0] == ",":
            self._held, self._state = rest[1:], self._head
        else:
            self._held, self._state = _after(rest, CLOSING), self._text
            self.is_complete = True


class _ObjectScan:
    """Finds the end of a JSON object that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self.is_over = False

    def end(self, text: str) -> int:
        """How much of ``text`` belongs to the object."""
        for at, character in enumerate(text):
            if self._is_escaped:
                self._is_escaped = False
            elif self._in_string:
                self._is_escaped = character == "\\"
                self._in_string = character != '"'
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "]}":
                self._depth -= 1
                if self._depth == 0:
                    self.is_over = True
                    return at + 1
        return len(text)


def _after(text: str, marks: Sequence[str]) -> str:
    """What comes after ``marks``, which may have white space before each. Raises _Held if
    ``text`` ends within them, _Broken if it goes on otherwise."""
    for mark in marks:
        text = text.lstrip(WHITE_SPACE)
        if not text.startswith(mark):
            raise _Held if mark.startswith(text) else _Broken
        text = text[len(mark) :]
    return text
