"""POST /v1/fim/completions: a hole is filled, and the middle comes back in the shape of a chat."""

import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence

from fastapi import Response

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.generation.json_frames import JsonFrames, compact_json
from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.mistral.fim_types import (
    FimChoice,
    FimChunk,
    FimChunkChoice,
    FimCompletion,
    FimDelta,
    FimLastChunk,
    FimMessage,
    FimRequest,
)
from codeserve.app.api.openai.replies import usage_report
from codeserve.app.edge.errors import error_json
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.edge.sse import DONE, EventStream, event
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.errors import ServingError
from codeserve.engines.types import FinishReason, Lane, TextDelta, TextRequest, Usage
from codeserve.model_specs.segments import Content, PromptSegments
from codeserve.model_specs.spec import Variant

SAME_NAME = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "min_tokens")
"""Fields that are called alike in a request and in SamplingParams."""


class FimReply:
    """A ``chat.completion`` whose message is the middle."""

    def __init__(self, model: str) -> None:
        self.id = f"fim-{uuid.uuid4().hex}"
        self._model = model
        self._created = int(time.time())
        self._texts = JsonFrames(event)
        self._finish_reason: FinishReason | None = None

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once."""
        choices = [
            FimChoice(message=FimMessage(content=answer.text), finish_reason=answer.finish_reason)
            for answer in answers
        ]
        completion = FimCompletion(
            id=self.id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=usage_report(usage),
        )
        return compact_json(completion)

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """The role, before all text."""
        yield event(compact_json(self._chunk(FimDelta(role="assistant", content=""))))

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """Text; the end comes with the usage."""
        self._finish_reason = delta.finish_reason
        if delta.text:
            yield self._texts.frame(
                index, delta.text, lambda text: self._chunk(FimDelta(content=text))
            )

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """Why it ended, and the usage."""
        choice = FimChunkChoice(delta=FimDelta(content=""), finish_reason=self._finish_reason)
        last = FimLastChunk(
            id=self.id,
            created=self._created,
            model=self._model,
            choices=[choice],
            usage=usage_report(usage),
        )
        yield event(compact_json(last))
        yield DONE

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The error as an event."""
        yield event(error_json(error))
        yield DONE

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """Server-sent events."""
        return EventStream(frames, keepalive_seconds)

    def _chunk(self, delta: FimDelta) -> FimChunk:
        return FimChunk(
            id=self.id,
            created=self._created,
            model=self._model,
            choices=[FimChunkChoice(delta=delta)],
        )


class FimHandler:
    """Serves POST /v1/fim/completions."""

    def __init__(self, models: ModelChoice, responder: Responder) -> None:
        self._models = models
        self._responder = responder

    async def handle(self, body: FimRequest, exchange: CurrentExchange) -> Response:
        """Fill the hole between ``prompt`` and ``suffix``."""
        exchange.record.model = body.model
        model = await self._models.lease_for(exchange, body.model, stream=bool(body.stream))
        exchange.record.model = model.id
        reply = FimReply(model.id)
        plan = Plan(
            id=reply.id,
            prompts=[_segments(body, model)],
            request=fim_request(body, model.info.variant),
        )
        return await self._responder.respond(exchange, model, plan, reply, stream=bool(body.stream))


def _segments(body: FimRequest, model: LeasedModel) -> PromptSegments:
    if body.suffix:
        return model.prompts.fim(body.prompt, body.suffix)
    return (*model.prompts.raw(""), Content(body.prompt))


def fim_request(body: FimRequest, variant: Variant) -> TextRequest:
    """How ``body`` wants its middle generated; what it leaves out has the defaults of ``variant``,
    or else OpenAI's."""
    given = {name: getattr(body, name) for name in SAME_NAME} | {"seed": body.random_seed}
    return TextRequest(
        max_tokens=body.max_tokens,
        stop=body.stop,
        sampling=sampling_of(given, variant),
        lane=Lane.INTERACTIVE,
    )
