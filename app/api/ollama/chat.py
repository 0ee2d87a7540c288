"""POST /api/chat: the assistant's next turn."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import Response

from codeserve.app.api.generation.json_frames import JsonFrames, compact_json
from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.output_form import prescribed_by
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.ollama.chat_types import (
    Called,
    ChatLoaded,
    ChatPiece,
    ChatResult,
    OfferedTool,
    OllamaChatRequest,
    OllamaMessage,
    OllamaToolCall,
    Said,
    SaidAndCalled,
)
from codeserve.app.api.ollama.metrics import Metrics
from codeserve.app.api.ollama.names import served_id
from codeserve.app.api.ollama.options import Options
from codeserve.app.api.ollama.replies import OllamaReply
from codeserve.app.api.ollama.times import now
from codeserve.app.api.openai.unsupported import Neutral, refuse_unsupported
from codeserve.app.api.tools import tool
from codeserve.app.api.tools.answer import read_answer
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.reader import Piece, TextPiece, ToolCallReader
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.app.edge.exchange import CurrentExchange, Exchange
from codeserve.app.edge.ndjson import line
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.types import FinishReason, TextDelta, TextRequest

UNSUPPORTED: Mapping[str, Neutral] = {
    "logprobs": (False,),
    "think": (False,),
    "top_logprobs": (0,),
}
"""Fields that would mislead if they were ignored, with the values that ask for nothing."""


class ChatReply(OllamaReply):
    """Ollama's ``message`` of a model that has no tools."""

    def __init__(self, model: str, exchange: Exchange) -> None:
        super().__init__(model, exchange)
        self._texts = JsonFrames(line)

    def pieces(self, delta: TextDelta) -> Iterable[bytes]:
        """Text, if there is any."""
        if delta.text:
            yield self.text_line(delta.text)

    def result(self, text: str, reason: FinishReason, metrics: Metrics) -> ChatResult:
        """The last line, or the whole reply."""
        return ChatResult(
            model=self._model,
            created_at=self._created_at,
            message=self.message(text),
            done_reason=reason,
            **metrics.model_dump(),
        )

    def message(self, text: str) -> Said:
        """The assistant's turn that has been written as ``text``."""
        return Said(content=text)

    def text_line(self, text: str) -> bytes:
        """A line of the stream that shows ``text``."""
        return self._texts.frame("text", text, lambda text: self.piece(Said(content=text)))

    def piece(self, message: Said) -> ChatPiece:
        """A line of the stream that shows ``message``."""
        return ChatPiece(model=self._model, created_at=self._created_at, message=message)


class ToolChatReply(ChatReply):
    """Ollama's ``message`` of a model that may call tools. A stream shows all calls in one line,
    when they have come to their end."""

    def __init__(self, model: str, exchange: Exchange) -> None:
        super().__init__(model, exchange)
        self._reader = ToolCallReader()
        self._written: list[str] = []

    def pieces(self, delta: TextDelta) -> Iterable[bytes]:
        """Text that is no call, and at the end the calls."""
        self._written.append(delta.text)
        yield from self._text_lines(self._reader.feed(delta.text))
        if delta.finish_reason is None:
            return
        yield from self._text_lines(self._reader.finish())
        calls = _whole_calls(read_answer("".join(self._written)).calls)
        if calls:
            message = SaidAndCalled(content="", tool_calls=calls)
            yield line(compact_json(self.piece(message)))

    def message(self, text: str) -> Said:
        """The assistant's turn that has been written as ``text``."""
        answer = read_answer(text)
        calls = _whole_calls(answer.calls)
        if calls:
            return SaidAndCalled(content=answer.text, tool_calls=calls)
        return Said(content=answer.text)

    def _text_lines(self, pieces: Iterable[Piece]) -> Iterable[bytes]:
        return (self.text_line(piece.text) for piece in pieces if isinstance(piece, TextPiece))


class ChatHandler:
    """Serves POST /api/chat."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: OllamaChatRequest, exchange: CurrentExchange) -> Response:
        """Answer the chat. A request without messages asks whether the model is loaded."""
        model_id = exchange.record.model = served_id(self._manager, body.model)
        model = await lease(exchange, self._manager, model_id, stream=False)
        refuse_unsupported(body.model_extra or {}, UNSUPPORTED)
        if not body.messages:
            loaded = ChatLoaded(model=body.model, created_at=now(), message=Said(content=""))
            return Response(compact_json(loaded), media_type="application/json")
        toolbox = Toolbox(tuple(map(_tool, body.tools or ())))
        turns = [_turn(index, message) for index, message in enumerate(body.messages)]
        kind = ToolChatReply if toolbox.is_open else ChatReply
        reply = kind(body.model, exchange)
        options = body.options or Options()
        plan = Plan(
            id=reply.id,
            prompts=[model.prompts.chat(toolbox.messages(turns))],
            request=TextRequest(
                max_tokens=options.max_tokens,
                stop=options.stop,
                sampling=options.sampling(toolbox.grammar(body.format), model.info.variant),
                prompt_name="messages",
            ),
        )
        stream = body.stream is not False
        with toolbox.blamed(), prescribed_by("format"):
            return await self._responder.respond(exchange, model, plan, reply, stream=stream)


def _tool(offered: OfferedTool) -> tool.Tool:
    function = offered.function
    return tool.Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
    )


def _turn(index: int, message: OllamaMessage) -> Turn:
    extra = message.model_extra or {}
    images = f"messages[{index}].images"
    refuse_unsupported({images: extra.get("images")}, {images: ([],)})
    return Turn(
        role=message.role,
        text=message.content or "",
        tool_calls=tuple(
            tool.ToolCall(
                id=call.id or tool.new_call_id(),
                name=call.function.name,
                arguments=_compact(call.function.arguments or {}),
            )
            for call in message.tool_calls or ()
        ),
        tool_call_id=message.tool_call_id,
        name=message.tool_name,
    )


def _compact(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _whole_calls(calls: Sequence[tool.ToolCall]) -> list[OllamaToolCall]:
    """``calls`` but for a last one that was cut off: its arguments are no JSON object yet."""
    whole = []
    for call in calls:
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            break
        whole.append(OllamaToolCall(function=Called(name=call.name, arguments=arguments)))
    return whole
