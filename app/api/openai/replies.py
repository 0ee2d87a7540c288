"""Generated text in the shape of a route: whole or as a stream."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from fastapi import Response
from pydantic import BaseModel

from codeserve.app.api.openai.choices import Choices
from codeserve.app.api.openai.protocol import PromptTokensDetails, UsageReport
from codeserve.app.edge.errors import as_serving_error, error_json
from codeserve.app.edge.record import RequestRecord
from codeserve.app.edge.sse import DONE, event
from codeserve.engines.types import FinishReason, Usage

HOLE = "\ufdd0"
"""Where the text of a chunk goes: a code point that is no character, and so in no template."""


@dataclass(slots=True)
class Answer:
    """One finished choice."""

    index: int
    pieces: list[str] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(self.pieces)


class Reply(Protocol):
    """How one route writes what was generated."""

    def opening(self, count: int) -> Iterable[BaseModel]:
        """Chunks that come before all text of ``count`` choices."""

    def piece(self, index: int, text: str) -> BaseModel:
        """A chunk that adds ``text`` to a choice."""

    def finish(self, index: int, reason: FinishReason) -> BaseModel:
        """The last chunk of a choice; it has no text."""

    def usage(self, usage: UsageReport) -> BaseModel:
        """The last chunk of the stream."""

    def whole(self, answers: Sequence[Answer], usage: UsageReport) -> BaseModel:
        """Everything at once."""


class Pieces:
    """The events that add text to choices. Those of one choice differ in their text alone, so a
    chunk is written once and its text is put in."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._frames: dict[int, tuple[bytes, bytes]] = {}

    def event(self, index: int, text: str) -> bytes:
        """The event that adds ``text`` to a choice."""
        frame = self._frames.get(index)
        if frame is None:
            chunk = event(_encode(self._reply.piece(index, HOLE)))
            before, _, after = chunk.rpartition(msgspec.json.encode(HOLE))
            frame = self._frames[index] = before, after
        before, after = frame
        return before + msgspec.json.encode(text) + after


async def whole_reply(choices: Choices, reply: Reply) -> Response:
    """Wait for all ``choices`` and write them as one JSON body."""
    answers = [Answer(index) for index in range(len(choices))]
    async for index, delta in choices:
        answers[index].pieces.append(delta.text)
        answers[index].finish_reason = delta.finish_reason
    body = reply.whole(answers, _report(choices.usage))
    return Response(_encode(body), media_type="application/json")


async def streamed_reply(
    choices: Choices, reply: Reply, record: RequestRecord, *, with_usage: bool
) -> AsyncIterator[bytes]:
    """The events of a stream, to its ``[DONE]``; an error on the way is an event, too."""
    pieces = Pieces(reply)
    try:
        for chunk in reply.opening(len(choices)):
            yield event(_encode(chunk))
        async for index, delta in choices:
            if delta.text:
                yield pieces.event(index, delta.text)
            if delta.finish_reason is not None:
                yield event(_encode(reply.finish(index, delta.finish_reason)))
        if with_usage:
            yield event(_encode(reply.usage(_report(choices.usage))))
    except Exception as failure:  # noqa: BLE001 - logged where nobody expected it
        error = as_serving_error(failure)
        record.error = error.code or error.type
        yield event(error_json(error))
    yield DONE


def _report(usage: Usage) -> UsageReport:
    return UsageReport(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_tokens),
    )


def _encode(body: BaseModel) -> bytes:
    """Compact JSON in UTF-8; llama.vim finds nothing in JSON with spaces after colons."""
    return body.model_dump_json().encode()
