"""What OpenAI's replies have in common."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable

from fastapi import Response
from pydantic import BaseModel

from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import JsonFrames, compact_json
from codeserve.app.api.openai.body import GenerationFields, StreamOptions
from codeserve.app.api.openai.usage_types import PromptTokensDetails, UsageReport
from codeserve.app.edge.errors import error_json
from codeserve.app.edge.sse import DONE, EventStream, event
from codeserve.engines.errors import ServingError
from codeserve.engines.types import Usage


class StreamedReply(ABC):
    """A stream of OpenAI's chunks, which ends with ``[DONE]`` whatever happens."""

    def __init__(self, options: StreamOptions | None) -> None:
        options = options or StreamOptions()
        self._with_usage = bool(options.include_usage)
        self._with_continuous_usage = self._with_usage and bool(options.continuous_usage_stats)
        self._texts = JsonFrames(event)

    @abstractmethod
    def usage_chunk(self, usage: UsageReport) -> BaseModel:
        """The last chunk of the stream."""

    def usage_so_far(self, choices: Choices) -> UsageReport | None:
        """For every chunk, if it was asked for: else no chunk but the last one has a usage, as some
        clients hold back the text beside it."""
        return usage_report(choices.usage) if self._with_continuous_usage else None

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """The usage, if it was asked for."""
        if self._with_usage:
            yield self._event(self.usage_chunk(usage_report(usage)))
        yield DONE

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The error as an event."""
        yield event(error_json(error))
        yield DONE

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """Server-sent events."""
        return EventStream(frames, keepalive_seconds)

    def _event(self, chunk: BaseModel) -> bytes:
        return event(compact_json(chunk))


def usage_report(usage: Usage) -> UsageReport:
    """``usage`` in OpenAI's words."""
    return UsageReport(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_tokens),
    )


def shown_stop(stop: str | int | None, body: GenerationFields) -> str | int | None:
    """vLLM's ``stop_reason``: the stop string or the one of ``stop_token_ids`` that ended a choice;
    None for an end of the model's own."""
    asked = isinstance(stop, str) or stop in (body.stop_token_ids or ())
    return stop if asked else None
