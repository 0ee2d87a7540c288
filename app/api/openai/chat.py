"""POST /v1/chat/completions: the assistant's next turn."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import Response

from codeserve.app.api.openai.choices import Plan
from codeserve.app.api.openai.protocol import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatRequest,
    ChatUsageChunk,
    Message,
    UsageReport,
)
from codeserve.app.api.openai.replies import Answer
from codeserve.app.api.openai.responder import Responder
from codeserve.app.api.openai.sampling import sampling_params
from codeserve.app.api.openai.unsupported import CHAT, refuse_unsupported
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.edge.validation import wrong_type
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.types import FinishReason

TOOL_ROLES = ("tool", "function")
"""Results of tools reach the model as the user's turns; a template knows no other."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """OpenAI's ``chat.completion``."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def opening(self, count: int) -> Iterable[ChatChunk]:
        """The role of each choice, once: clients join what is repeated."""
        for index in range(count):
            delta = ChatDelta(role="assistant", content="")
            yield self._chunk(ChatChunkChoice(index=index, delta=delta))

    def piece(self, index: int, text: str) -> ChatChunk:
        """A chunk that adds ``text`` to a choice."""
        return self._chunk(ChatChunkChoice(index=index, delta=ChatDelta(content=text)))

    def finish(self, index: int, reason: FinishReason) -> ChatChunk:
        """The last chunk of a choice; it has no text."""
        return self._chunk(ChatChunkChoice(index=index, delta=ChatDelta(), finish_reason=reason))

    def usage(self, usage: UsageReport) -> ChatUsageChunk:
        """The last chunk of the stream."""
        return ChatUsageChunk(
            id=self.id, created=self.created, model=self.model, choices=[], usage=usage
        )

    def whole(self, answers: Sequence[Answer], usage: UsageReport) -> ChatCompletion:
        """Everything at once."""
        choices = [
            ChatChoice(
                index=answer.index,
                message=ChatMessage(content=answer.text),
                finish_reason=answer.finish_reason,
            )
            for answer in answers
        ]
        return ChatCompletion(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
        )

    def _chunk(self, choice: ChatChunkChoice) -> ChatChunk:
        return ChatChunk(id=self.id, created=self.created, model=self.model, choices=[choice])


class ChatHandler:
    """Serves POST /v1/chat/completions."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: ChatRequest, exchange: CurrentExchange) -> Response:
        """Answer the conversation."""
        exchange.record.model = body.model
        refuse_unsupported(body.model_extra or {}, CHAT)
        model = exchange.resources.enter_context(self._manager.lease(body.model))
        reply = ChatReply(model.id)
        messages = [_turn(index, message) for index, message in enumerate(body.messages)]
        given = body.max_completion_tokens
        plan = Plan(
            id=reply.id,
            prompts=[model.prompts.chat(messages)],
            choices_per_prompt=body.choices_per_prompt,
            max_tokens=body.max_tokens if given is None else given,
            stop=body.stop,
            sampling=sampling_params(body, model.info.vocab_size),
        )
        return await self._responder.respond(exchange, model, plan, reply, body)


def _turn(index: int, message: Message) -> Mapping[str, str]:
    """``message`` for the model's template. Only the assistant may have said nothing, where it
    called a tool."""
    if message.content is None and message.role != "assistant":
        raise wrong_type(
            f"messages[{index}].content", "a string or an array of text parts", message.content
        )
    role = "user" if message.role in TOOL_ROLES else message.role
    return {"role": role, "content": message.content or ""}
