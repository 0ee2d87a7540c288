"""POST /v1/completions: text goes on, or the hole before a suffix is filled."""

import time
import uuid
from collections.abc import Iterable, Sequence

from fastapi import Response

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.body import StreamOptions
from codeserve.app.api.openai.completion_types import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionRequest,
)
from codeserve.app.api.openai.replies import StreamedReply, usage_report
from codeserve.app.api.openai.text_request import text_request
from codeserve.app.api.openai.unsupported import COMPLETION, refuse_unsupported
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import FinishReason, TextDelta, Usage
from codeserve.model_specs.segments import Ids, PromptSegments

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default for this route."""


class CompletionReply(StreamedReply):
    """OpenAI's ``text_completion``."""

    def __init__(self, model: str, stream: StreamOptions | None = None) -> None:
        super().__init__(stream)
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self._model = model
        self._created = int(time.time())

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """Completions open with their first text."""
        return ()

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """Text, and the end of the choice in a chunk of its own."""
        if delta.text:
            yield self._texts.frame(index, delta.text, lambda text: self._chunk(index, text))
        if delta.finish_reason is not None:
            yield self._event(self._chunk(index, "", delta.finish_reason))

    def usage_chunk(self, usage: UsageReport) -> Completion:
        """The last chunk of the stream."""
        return self._completion([], usage)

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once."""
        choices = [
            CompletionChoice(
                index=answer.index, text=answer.text, finish_reason=answer.finish_reason
            )
            for answer in answers
        ]
        return compact_json(self._completion(choices, usage_report(usage)))

    def _chunk(self, index: int, text: str, reason: FinishReason | None = None) -> CompletionChunk:
        choice = CompletionChoice(index=index, text=text, finish_reason=reason)
        return CompletionChunk(
            id=self.id, created=self._created, model=self._model, choices=[choice]
        )

    def _completion(self, choices: list[CompletionChoice], usage: UsageReport) -> Completion:
        return Completion(
            id=self.id, created=self._created, model=self._model, choices=choices, usage=usage
        )


class CompletionHandler:
    """Serves POST /v1/completions."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: CompletionRequest, exchange: CurrentExchange) -> Response:
        """Continue each prompt, or fill the hole between it and ``suffix``."""
        exchange.record.model = body.model
        fields = dict(body.model_extra or {})
        if fields.get("best_of") == body.choices_per_prompt:
            del fields["best_of"]
        refuse_unsupported(fields, COMPLETION)
        model = exchange.resources.enter_context(self._manager.lease(body.model))
        reply = CompletionReply(model.id, body.stream_options)
        plan = Plan(
            id=reply.id,
            prompts=[_segments(prompt, body.suffix, model) for prompt in body.prompt],
            choices_per_prompt=body.choices_per_prompt,
            request=text_request(
                body,
                model.info,
                DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens,
            ),
        )
        return await self._responder.respond(exchange, model, plan, reply, stream=bool(body.stream))


def _segments(
    prompt: str | tuple[int, ...], suffix: str | None, model: LeasedModel
) -> PromptSegments:
    """One prompt; token ids are taken verbatim, without a BOS of ours."""
    if isinstance(prompt, str):
        return model.prompts.fim(prompt, suffix) if suffix else model.prompts.raw(prompt)
    if suffix:
        raise InvalidRequest(
            "A suffix goes with a prompt of text, but the prompt is an array of token ids.",
            param="suffix",
            code="invalid_value",
        )
    if max(prompt) >= model.info.vocab_size:
        raise InvalidRequest(
            f"Invalid 'prompt': token id {max(prompt)} does not exist; this model's ids are 0 to "
            f"{model.info.vocab_size - 1}.",
            param="prompt",
            code="invalid_value",
        )
    return (Ids(prompt),)
