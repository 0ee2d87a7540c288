"""OpenAI's ``response``, whole or as events."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from fastapi import Response as HttpResponse

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.responses.events import ErrorEvent, Event, ResponseEvent
from codeserve.app.api.responses.logprobs import text_logprobs
from codeserve.app.api.responses.output import Output
from codeserve.app.api.responses.response_types import (
    IncompleteDetails,
    InputDetails,
    Response,
    ResponseFailure,
    ResponseUsage,
)
from codeserve.app.edge.errors import ErrorFields
from codeserve.app.edge.sse import EventStream, event
from codeserve.engines.errors import ServingError
from codeserve.engines.types import FinishReason, TextDelta, TokenLogprobs, Usage


class ResponseReply:
    """Events tell all that a whole response holds, and end with it; a whole response is what the
    events have told."""

    def __init__(self, response: Response, *, with_calls: bool) -> None:
        """``response`` as it is before anything is generated. ``with_calls``: the text may be calls
        of tools."""
        self._response = response
        self._output = Output(with_calls=with_calls)
        self._next_number = 0
        self._cut_off = False

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """The finished response."""
        (answer,) = answers
        for _ in self._read(answer.text, answer.logprobs, answer.finish_reason):
            pass
        return compact_json(self._finished(usage))

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """The response, still empty."""
        for kind in ("response.created", "response.in_progress"):
            yield self._frame(ResponseEvent(type=kind, response=self._response))

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """What ``delta`` adds to the output, and the end of the output."""
        yield from map(self._frame, self._read(delta.text, delta.logprobs, delta.finish_reason))

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """The finished response."""
        response = self._finished(usage)
        yield self._frame(ResponseEvent(type=f"response.{response.status}", response=response))

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The response as failed, and the error as what clients raise."""
        failed = self._response.model_copy(
            update={
                "status": "failed",
                "error": ResponseFailure(message=error.message),
                "output": self._output.items,
            }
        )
        yield self._frame(ResponseEvent(type="response.failed", response=failed))
        fields = ErrorFields(
            message=error.message, type=error.type, param=error.param, code=error.code
        )
        yield self._frame(
            ErrorEvent(message=error.message, param=error.param, code=error.code, error=fields)
        )

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> HttpResponse:
        """Server-sent events; the last one is not ``[DONE]``."""
        return EventStream(frames, keepalive_seconds)

    def _read(
        self,
        text: str,
        logprobs: Sequence[TokenLogprobs],
        finish_reason: FinishReason | None,
    ) -> Iterator[Event]:
        yield from self._output.feed(text, text_logprobs(logprobs))
        if finish_reason is not None:
            self._cut_off = finish_reason is FinishReason.LENGTH and not self._output.has_all_calls
            yield from self._output.finish(cut_off=self._cut_off)

    def _finished(self, usage: Usage) -> Response:
        cut_off = self._cut_off
        return self._response.model_copy(
            update={
                "status": "incomplete" if cut_off else "completed",
                "completed_at": None if cut_off else int(time.time()),
                "incomplete_details": IncompleteDetails() if cut_off else None,
                "output": self._output.items,
                "usage": _usage(usage),
            }
        )

    def _frame(self, told: Event) -> bytes:
        numbered = told.model_copy(update={"sequence_number": self._next_number})
        self._next_number += 1
        return event(compact_json(numbered), told.type)


def _usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )
