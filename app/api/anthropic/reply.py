"""Anthropic's ``message``, whole or as events."""

import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from fastapi import Response

from codeserve.app.api.anthropic.content import Content
from codeserve.app.api.anthropic.errors import AnthropicErrors
from codeserve.app.api.anthropic.message_types import (
    AssistantMessage,
    BlockEvent,
    Ending,
    Event,
    MessageDelta,
    MessageStart,
    MessageStop,
    MessageUsage,
)
from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.edge.sse import EventStream, event
from codeserve.engines.errors import ServingError
from codeserve.engines.types import FinishReason, TextDelta, Usage


class MessageReply:
    """Events tell all that a whole message holds; a whole message is what the events have told."""

    def __init__(self, model: str, request_id: str, *, with_calls: bool) -> None:
        """``with_calls``: the text may be calls of tools."""
        self.id = f"msg_{uuid.uuid4().hex}"
        self._model = model
        self._request_id = request_id
        self._content = Content(with_calls=with_calls)
        self._ending = Ending(stop_reason=None, stop_sequence=None)

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """The finished message."""
        (answer,) = answers
        for _ in self._read(answer.text, answer.finish_reason, answer.stop_reason):
            pass
        message = AssistantMessage(
            id=self.id,
            model=self._model,
            content=self._content.blocks,
            stop_reason=self._ending.stop_reason,
            stop_sequence=self._ending.stop_sequence,
            usage=_usage(usage),
        )
        return compact_json(message)

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """The message, still empty; what was cached of its prompt is not known yet."""
        message = AssistantMessage(id=self.id, model=self._model, usage=_usage(choices.usage))
        yield _frame(MessageStart(message=message))

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """What ``delta`` adds to the content, and the end of the content."""
        return map(_frame, self._read(delta.text, delta.finish_reason, delta.stop_reason))

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """How the message ends."""
        yield _frame(MessageDelta(delta=self._ending, usage=_usage(usage)))
        yield _frame(MessageStop())

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The error as an event."""
        yield event(AnthropicErrors().body(error, self._request_id), "error")

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """Server-sent events."""
        return EventStream(frames, keepalive_seconds)

    def _read(
        self, text: str, finish_reason: FinishReason | None, stop: str | int | None
    ) -> Iterator[BlockEvent]:
        yield from self._content.feed(text)
        if finish_reason is not None:
            yield from self._content.finish()
            self._ending = self._end(finish_reason, stop)

    def _end(self, finish_reason: FinishReason, stop: str | int | None) -> Ending:
        if self._content.has_all_calls:
            return Ending(stop_reason="tool_use", stop_sequence=None)
        if finish_reason is FinishReason.LENGTH:
            return Ending(stop_reason="max_tokens", stop_sequence=None)
        if isinstance(stop, str):
            return Ending(stop_reason="stop_sequence", stop_sequence=stop)
        return Ending(stop_reason="end_turn", stop_sequence=None)


def _frame(told: Event) -> bytes:
    return event(compact_json(told), told.type)


def _usage(usage: Usage) -> MessageUsage:
    return MessageUsage(
        input_tokens=usage.prompt_tokens - usage.cached_tokens,
        cache_read_input_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
    )
