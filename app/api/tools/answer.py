"""An answer that has come whole, told apart into text and calls."""

from collections.abc import Callable

import msgspec

from codeserve.app.api.tools.reader import ArgumentsPiece, CallBegun, TextPiece, ToolCallReader
from codeserve.app.api.tools.tool import ToolCall, new_call_id


class ToolAnswer(msgspec.Struct, frozen=True):
    """What was said, and what is to be called."""

    text: str
    calls: tuple[ToolCall, ...]
    is_complete: bool
    """There are calls, and the last is not cut off."""


def read_answer(text: str, new_id: Callable[[], str] = new_call_id) -> ToolAnswer:
    """The answer that a model has written as ``text``; ``new_id`` makes the id of each call."""
    reader = ToolCallReader(new_id)
    shown: list[str] = []
    begun: list[CallBegun] = []
    arguments: list[str] = []
    for piece in [*reader.feed(text), *reader.finish()]:
        match piece:
            case TextPiece():
                shown.append(piece.text)
            case CallBegun():
                begun.append(piece)
                arguments.append("")
            case ArgumentsPiece():
                arguments[piece.index] += piece.text
    calls = tuple(
        ToolCall(id=call.id, name=call.name, arguments=text)
        for call, text in zip(begun, arguments, strict=True)
    )
    return ToolAnswer("".join(shown), calls, reader.is_complete)
