"""POST /v1/chat/completions: the assistant's next turn."""

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence

from fastapi import Response

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.body import StreamOptions
from codeserve.app.api.openai.chat_types import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatRequest,
    ChatUsageChunk,
    Message,
)
from codeserve.app.api.openai.replies import StreamedReply, usage_report
from codeserve.app.api.openai.text_request import text_request
from codeserve.app.api.openai.unsupported import CHAT, refuse_unsupported
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.edge.validation import wrong_type
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.types import FinishReason, TextDelta, Usage

TOOL_ROLES = ("tool", "function")
"""Results of tools reach the model as the user's turns; a template knows no other."""


class ChatReply(StreamedReply):
    """OpenAI's ``chat.completion``."""

    def __init__(self, model: str, stream: StreamOptions | None = None) -> None:
        super().__init__(stream)
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._model = model
        self._created = int(time.time())

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """The role of each choice, once: clients join what is repeated."""
        for index in range(len(choices)):
            yield self._event(self._chunk(index, ChatDelta(role="assistant", content="")))

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """Text, and the end of the choice in a chunk of its own."""
        if delta.text:
            yield self._texts.frame(
                index, delta.text, lambda text: self._chunk(index, ChatDelta(content=text))
            )
        if delta.finish_reason is not None:
            yield self._event(self._chunk(index, ChatDelta(), delta.finish_reason))

    def usage_chunk(self, usage: UsageReport) -> ChatUsageChunk:
        """The last chunk of the stream."""
        return ChatUsageChunk(
            id=self.id, created=self._created, model=self._model, choices=[], usage=usage
        )

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once."""
        choices = [
            ChatChoice(
                index=answer.index,
                message=ChatMessage(content=answer.text),
                finish_reason=answer.finish_reason,
            )
            for answer in answers
        ]
        completion = ChatCompletion(
            id=self.id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=usage_report(usage),
        )
        return compact_json(completion)

    def _chunk(self, index: int, delta: ChatDelta, reason: FinishReason | None = None) -> ChatChunk:
        choice = ChatChunkChoice(index=index, delta=delta, finish_reason=reason)
        return ChatChunk(id=self.id, created=self._created, model=self._model, choices=[choice])


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
        reply = ChatReply(model.id, body.stream_options)
        messages = [_turn(index, message) for index, message in enumerate(body.messages)]
        given = body.max_completion_tokens
        plan = Plan(
            id=reply.id,
            prompts=[model.prompts.chat(messages)],
            choices_per_prompt=body.choices_per_prompt,
            request=text_request(body, model.info, body.max_tokens if given is None else given),
        )
        return await self._responder.respond(exchange, model, plan, reply, stream=bool(body.stream))


def _turn(index: int, message: Message) -> Mapping[str, str]:
    """``message`` for the model's template. Only the assistant may have said nothing, where it
    called a tool."""
    if message.content is None and message.role != "assistant":
        raise wrong_type(
            f"messages[{index}].content", "a string or an array of text parts", message.content
        )
    role = "user" if message.role in TOOL_ROLES else message.role
    return {"role": role, "content": message.content or ""}
