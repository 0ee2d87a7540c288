"""POST /v1/completions: text goes on, or the hole before a suffix is filled."""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fastapi import Response

from codeserve.app.api.openai.choices import Plan
from codeserve.app.api.openai.protocol import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionRequest,
    UsageReport,
)
from codeserve.app.api.openai.replies import Answer
from codeserve.app.api.openai.responder import Responder
from codeserve.app.api.openai.sampling import sampling_params
from codeserve.app.api.openai.unsupported import COMPLETION, refuse_unsupported
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import FinishReason
from codeserve.model_specs.segments import Ids, PromptSegments

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default for this route."""


@dataclass(frozen=True, slots=True)
class CompletionReply:
    """OpenAI's ``text_completion``."""

    model: str
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def opening(self, count: int) -> Iterable[CompletionChunk]:
        """Completions open with their first text."""
        return ()

    def piece(self, index: int, text: str) -> CompletionChunk:
        """A chunk that adds ``text`` to a choice."""
        return self._chunk(CompletionChoice(index=index, text=text))

    def finish(self, index: int, reason: FinishReason) -> CompletionChunk:
        """The last chunk of a choice; it has no text."""
        return self._chunk(CompletionChoice(index=index, text="", finish_reason=reason))

    def usage(self, usage: UsageReport) -> Completion:
        """The last chunk of the stream."""
        return self._completion([], usage)

    def whole(self, answers: Sequence[Answer], usage: UsageReport) -> Completion:
        """Everything at once."""
        choices = [
            CompletionChoice(
                index=answer.index, text=answer.text, finish_reason=answer.finish_reason
            )
            for answer in answers
        ]
        return self._completion(choices, usage)

    def _chunk(self, choice: CompletionChoice) -> CompletionChunk:
        return CompletionChunk(id=self.id, created=self.created, model=self.model, choices=[choice])

    def _completion(self, choices: list[CompletionChoice], usage: UsageReport) -> Completion:
        return Completion(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
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
        reply = CompletionReply(model.id)
        plan = Plan(
            id=reply.id,
            prompts=[_segments(prompt, body.suffix, model) for prompt in body.prompt],
            choices_per_prompt=body.choices_per_prompt,
            max_tokens=DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens,
            stop=body.stop,
            sampling=sampling_params(body, model.info.vocab_size),
        )
        return await self._responder.respond(exchange, model, plan, reply, body)


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
