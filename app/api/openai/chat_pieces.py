"""The pieces in which the assistant's message is streamed."""

from collections.abc import Iterator

from codeserve.app.api.openai.chat_logprobs import chat_logprobs
from codeserve.app.api.openai.chat_types import (
    ChatChunkChoice,
    ChatDelta,
    ChatFinish,
    ChatRequest,
    FunctionCallDelta,
    ToolCallDelta,
)
from codeserve.app.api.openai.replies import shown_stop
from codeserve.app.api.tools.reader import ArgumentsPiece, CallBegun, TextPiece, ToolCallReader
from codeserve.engines.types import FinishReason, TextDelta, TokenLogprobs


class ChatPieces:
    """One answer, from what is generated to what its chunks add."""

    def __init__(self, index: int, body: ChatRequest, *, reads_calls: bool) -> None:
        """``reads_calls``: the answer may be calls of tools."""
        self._index = index
        self._body = body
        self._reader = ToolCallReader() if reads_calls else None
        self._scores: list[TokenLogprobs] = []
        self._token_ids: list[int] = []

    def feed(self, delta: TextDelta) -> Iterator[ChatChunkChoice]:
        """What ``delta`` adds; the end in a piece of its own."""
        self._scores += delta.logprobs
        self._token_ids += delta.token_ids
        for piece in self._read(delta):
            match piece:
                case TextPiece():
                    yield self._text(piece)
                case CallBegun():
                    yield self._piece(_begun(piece, is_legacy=self._body.is_legacy))
                case ArgumentsPiece():
                    yield self._piece(_more(piece, is_legacy=self._body.is_legacy))
        if delta.finish_reason is not None:
            yield self._end(delta, delta.finish_reason)

    def _read(self, delta: TextDelta) -> Iterator[TextPiece | CallBegun | ArgumentsPiece]:
        if self._reader is None:
            if delta.text:
                yield TextPiece(delta.text)
            return
        yield from self._reader.feed(delta.text)
        if delta.finish_reason is not None:
            yield from self._reader.finish()

    def _text(self, piece: TextPiece) -> ChatChunkChoice:
        choice = self._piece(ChatDelta(content=piece.text))
        if self._body.logprobs:
            choice["logprobs"] = chat_logprobs(
                self._scores, as_ids=bool(self._body.return_tokens_as_token_ids)
            )
            self._scores = []
        return choice

    def _piece(self, delta: ChatDelta) -> ChatChunkChoice:
        """A choice that adds ``delta``, with the ids of all tokens since the last one."""
        choice = ChatChunkChoice(index=self._index, delta=delta, logprobs=None, finish_reason=None)
        if self._body.return_token_ids:
            choice["token_ids"], self._token_ids = self._token_ids, []
        return choice

    def _end(self, delta: TextDelta, reason: FinishReason) -> ChatChunkChoice:
        choice = self._piece(ChatDelta())
        is_call = self._reader is not None and self._reader.is_complete
        choice["finish_reason"] = chat_finish(reason, self._body, is_call=is_call)
        choice["stop_reason"] = shown_stop(delta.stop_reason, self._body)
        return choice


def chat_finish(
    reason: FinishReason | None, body: ChatRequest, *, is_call: bool
) -> ChatFinish | None:
    """Why an answer ended; ``is_call``: it ended with a whole call."""
    if not is_call:
        return reason
    return "function_call" if body.is_legacy else "tool_calls"


def _begun(call: CallBegun, *, is_legacy: bool) -> ChatDelta:
    function = FunctionCallDelta(name=call.name, arguments="")
    if is_legacy:
        return ChatDelta(function_call=function)
    return ChatDelta(
        tool_calls=[ToolCallDelta(index=call.index, id=call.id, type="function", function=function)]
    )


def _more(piece: ArgumentsPiece, *, is_legacy: bool) -> ChatDelta:
    function = FunctionCallDelta(arguments=piece.text)
    if is_legacy:
        return ChatDelta(function_call=function)
    return ChatDelta(tool_calls=[ToolCallDelta(index=piece.index, function=function)])
