"""The blocks of a message, as they are generated."""

import json
import uuid
from collections.abc import Iterator, Sequence

from codeserve.app.api.anthropic.message_types import (
    BlockDelta,
    BlockEvent,
    BlockStart,
    BlockStop,
    ContentBlock,
    InputPieceDelta,
    TextContent,
    TextPieceDelta,
    ToolUse,
)
from codeserve.app.api.tools.reader import (
    ArgumentsPiece,
    CallBegun,
    Piece,
    TextPiece,
    ToolCallReader,
)


class Content:
    """Reads an answer: text and calls, each announced, extended and closed by events."""

    def __init__(self, *, with_calls: bool) -> None:
        """``with_calls``: the text may be calls of tools."""
        self.blocks: list[ContentBlock] = []
        """What is finished; a call that was cut off never is."""
        self._reader = ToolCallReader(_new_id) if with_calls else None
        self._next_index = 0
        self._open: ContentBlock | None = None
        self._pieces: list[str] = []

    @property
    def has_all_calls(self) -> bool:
        """There are calls, and the last has come to its end."""
        return self._reader is not None and self._reader.is_complete

    def feed(self, text: str) -> Iterator[BlockEvent]:
        """What ``text`` adds."""
        if self._reader is not None:
            yield from self._add(self._reader.feed(text))
        elif text:
            yield from self._add([TextPiece(text)])

    def finish(self) -> Iterator[BlockEvent]:
        """The end of all."""
        if self._reader is not None:
            yield from self._add(self._reader.finish())
        yield from self._close()

    def _add(self, pieces: Sequence[Piece]) -> Iterator[BlockEvent]:
        for piece in pieces:
            match piece:
                case CallBegun():
                    yield from self._begin(ToolUse(id=piece.id, name=piece.name, input={}))
                case ArgumentsPiece():
                    yield self._extend(piece.text, InputPieceDelta(partial_json=piece.text))
                case TextPiece():
                    if not isinstance(self._open, TextContent):
                        yield from self._begin(TextContent(text=""))
                    yield self._extend(piece.text, TextPieceDelta(text=piece.text))

    def _begin(self, block: ContentBlock) -> Iterator[BlockEvent]:
        yield from self._close()
        self._open = block
        yield BlockStart(index=self._next_index, content_block=block)

    def _extend(self, text: str, delta: TextPieceDelta | InputPieceDelta) -> BlockEvent:
        self._pieces.append(text)
        return BlockDelta(index=self._next_index, delta=delta)

    def _close(self) -> Iterator[BlockEvent]:
        if self._open is None:
            return
        block = _filled(self._open, "".join(self._pieces))
        if block is not None:
            self.blocks.append(block)
        self._open = None
        self._pieces.clear()
        yield BlockStop(index=self._next_index)
        self._next_index += 1


def _filled(block: ContentBlock, text: str) -> ContentBlock | None:
    """``block`` with all that has come for it; None for a call that was cut off."""
    if isinstance(block, TextContent):
        return TextContent(text=text)
    try:
        return block.model_copy(update={"input": json.loads(text)})
    except ValueError:
        return None


def _new_id() -> str:
    return f"toolu_{uuid.uuid4().hex[:24]}"
