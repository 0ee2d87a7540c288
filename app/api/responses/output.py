"""The output of a response, item by item, as it is generated."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from codeserve.app.api.responses.events import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    Event,
    ItemEvent,
    PartEvent,
    TextDeltaEvent,
    TextDoneEvent,
)
from codeserve.app.api.responses.response_types import (
    FunctionCall,
    ItemStatus,
    Logprob,
    OutputItem,
    OutputMessage,
    OutputText,
)
from codeserve.app.api.tools.reader import (
    ArgumentsPiece,
    CallBegun,
    Piece,
    TextPiece,
    ToolCallReader,
)


@dataclass(slots=True)
class MessageDraft:
    """A message that is being written."""

    index: int
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)

    def item(self, status: ItemStatus) -> OutputMessage:
        """The message as it stands."""
        content = [] if status == "in_progress" else [self.part()]
        return OutputMessage(id=self.id, status=status, content=content)

    def part(self) -> OutputText:
        """Its text as it stands."""
        return OutputText(text="".join(self.pieces), logprobs=self.logprobs)

    def opening(self) -> Iterator[Event]:
        """Its text begins."""
        yield self._part_event("response.content_part.added")

    def add(self, text: str, logprobs: list[Logprob]) -> Event:
        """More of its text."""
        self.pieces.append(text)
        self.logprobs += logprobs
        return TextDeltaEvent(
            item_id=self.id, output_index=self.index, delta=text, logprobs=logprobs
        )

    def closing(self) -> Iterator[Event]:
        """Its text ends."""
        part = self.part()
        yield TextDoneEvent(
            item_id=self.id, output_index=self.index, text=part.text, logprobs=part.logprobs
        )
        yield self._part_event("response.content_part.done")

    def _part_event(self, kind: str) -> PartEvent:
        return PartEvent(type=kind, item_id=self.id, output_index=self.index, part=self.part())


@dataclass(slots=True)
class CallDraft:
    """A call that is being written."""

    index: int
    call_id: str
    name: str
    id: str = field(default_factory=lambda: f"fc_{uuid.uuid4().hex}")
    pieces: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Its arguments have come to their end."""
        try:
            json.loads("".join(self.pieces))
        except ValueError:
            return False
        return True

    def item(self, status: ItemStatus) -> FunctionCall:
        """The call as it stands."""
        return FunctionCall(
            id=self.id,
            status=status,
            call_id=self.call_id,
            name=self.name,
            arguments="".join(self.pieces),
        )

    def opening(self) -> Iterator[Event]:
        """Arguments begin with their first piece."""
        return iter(())

    def add(self, text: str) -> Event:
        """More of its arguments."""
        self.pieces.append(text)
        return ArgumentsDeltaEvent(item_id=self.id, output_index=self.index, delta=text)

    def closing(self) -> Iterator[Event]:
        """Its arguments end."""
        yield ArgumentsDoneEvent(
            item_id=self.id,
            output_index=self.index,
            name=self.name,
            arguments="".join(self.pieces),
        )


class Output:
    """Reads an answer: messages and calls, each announced, extended and closed by events."""

    def __init__(self, *, with_calls: bool) -> None:
        """``with_calls``: the text may be calls of tools."""
        self.items: list[OutputItem] = []
        """What is finished."""
        self._reader = ToolCallReader() if with_calls else None
        self._draft: MessageDraft | CallDraft | None = None
        self._logprobs: list[Logprob] = []

    @property
    def has_all_calls(self) -> bool:
        """There are calls, and the last has come to its end."""
        return self._reader is not None and self._reader.is_complete

    def feed(self, text: str, logprobs: Sequence[Logprob]) -> Iterator[Event]:
        """What ``text`` adds; its ``logprobs`` go with the text of messages."""
        self._logprobs += logprobs
        if self._reader is not None:
            yield from self._add(self._reader.feed(text))
        elif text:
            yield from self._add([TextPiece(text)])

    def finish(self, *, cut_off: bool) -> Iterator[Event]:
        """The end of all; an answer without anything is an empty message."""
        if self._reader is not None:
            yield from self._add(self._reader.finish())
        if self._draft is None:
            yield from self._open(MessageDraft(0))
        is_whole = isinstance(self._draft, CallDraft) and self._draft.is_whole
        yield from self._close("incomplete" if cut_off and not is_whole else "completed")

    def _add(self, pieces: Sequence[Piece]) -> Iterator[Event]:
        for piece in pieces:
            match piece:
                case CallBegun():
                    self._logprobs.clear()
                    yield from self._open(CallDraft(self._next_index, piece.id, piece.name))
                case ArgumentsPiece():
                    assert isinstance(self._draft, CallDraft)
                    yield self._draft.add(piece.text)
                case TextPiece():
                    if not isinstance(self._draft, MessageDraft):
                        yield from self._open(MessageDraft(self._next_index))
                    assert isinstance(self._draft, MessageDraft)
                    logprobs, self._logprobs = self._logprobs, []
                    yield self._draft.add(piece.text, logprobs)

    @property
    def _next_index(self) -> int:
        return len(self.items) + (self._draft is not None)

    def _open(self, draft: MessageDraft | CallDraft) -> Iterator[Event]:
        yield from self._close("completed")
        self._draft = draft
        item = draft.item("in_progress")
        yield ItemEvent(type="response.output_item.added", output_index=draft.index, item=item)
        yield from draft.opening()

    def _close(self, status: ItemStatus) -> Iterator[Event]:
        draft, self._draft = self._draft, None
        if draft is None:
            return
        yield from draft.closing()
        item = draft.item(status)
        self.items.append(item)
        yield ItemEvent(type="response.output_item.done", output_index=draft.index, item=item)
