"""What POST /v1/chat/completions answers."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.openai.chat_logprobs import chat_logprobs
from codeserve.app.api.openai.chat_pieces import ChatPieces, chat_finish
from codeserve.app.api.openai.chat_types import (
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatLogprobs,
    ChatMessage,
    ChatPromptChunk,
    ChatRequest,
    ChatUsageChunk,
    FunctionCall,
    ReportedChatCompletion,
    ToolCall,
)
from codeserve.app.api.openai.prompt_logprobs import prompt_logprobs
from codeserve.app.api.openai.replies import StreamedReply, shown_stop, usage_report
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.app.api.tools.answer import ToolAnswer, read_answer
from codeserve.engines.types import PromptReport, TextDelta, Usage


class ChatReply(StreamedReply):
    """OpenAI's ``chat.completion``, with vLLM's additions where they are asked for."""

    def __init__(
        self, model_id: str, body: ChatRequest, *, reads_calls: bool, begun: str = ""
    ) -> None:
        """``reads_calls``: answers may be calls of tools. ``begun``: what each answer begins with
        before anything is generated."""
        super().__init__(body.stream_options)
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self._model = model_id
        self._created = int(time.time())
        self._body = body
        self._reads_calls = reads_calls
        self._begun = begun
        self._is_open = False
        self._pieces: dict[int, ChatPieces] = {}

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """The role of each choice, once: clients join what is repeated. It waits for the report on
        the prompt where that comes first."""
        return () if self._body.return_token_ids else self._open(choices)

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """What was said or called, and the end of the choice in a chunk of its own."""
        if not self._is_open:
            yield from self._open(choices, delta.prompt)
        if self._is_text_alone:
            if delta.text:
                yield self._texts.frame(index, delta.text, lambda text: self._said(index, text))
            if delta.finish_reason is None:
                return
            delta = TextDelta(finish_reason=delta.finish_reason, stop_reason=delta.stop_reason)
        pieces = self._pieces.setdefault(
            index, ChatPieces(index, self._body, reads_calls=self._reads_calls)
        )
        for choice in pieces.feed(delta):
            yield self._event(self._chunk(choice, self.usage_so_far(choices)))

    def usage_chunk(self, usage: UsageReport) -> ChatUsageChunk:
        """The last chunk of the stream."""
        return ChatUsageChunk(
            id=self.id, created=self._created, model=self._model, choices=[], usage=usage
        )

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once."""
        completion = ChatCompletion(
            id=self.id,
            created=self._created,
            model=self._model,
            choices=[self._choice(answer) for answer in answers],
            usage=usage_report(usage),
        )
        report = answers[0].prompt
        return compact_json(completion if report is None else self._reported(completion, report))

    @property
    def _is_text_alone(self) -> bool:
        """Whether the chunks of a choice differ in their text alone."""
        asks = self._body.logprobs or self._body.return_token_ids
        return not (asks or self._reads_calls or self._with_continuous_usage)

    def _open(self, choices: Choices, prompt: PromptReport | None = None) -> Iterator[bytes]:
        self._is_open = True
        usage = self.usage_so_far(choices)
        for index in range(len(choices)):
            role = ChatDelta(role="assistant", content=None if self._reads_calls else "")
            chunk = self._chunk(_piece(index, role), usage)
            if prompt is not None and index == 0:
                ids = list(prompt.token_ids)
                chunk = ChatPromptChunk(**dict(chunk), prompt_token_ids=ids)
            yield self._event(chunk)
        for index in range(len(choices)) if self._begun else ():
            yield self._event(self._chunk(_piece(index, ChatDelta(content=self._begun)), usage))

    def _said(self, index: int, text: str) -> ChatChunk:
        return self._chunk(_piece(index, ChatDelta(content=text)), None)

    def _chunk(self, choice: ChatChunkChoice, usage: UsageReport | None) -> ChatChunk:
        chunk = ChatChunk(id=self.id, created=self._created, model=self._model, choices=[choice])
        return chunk if usage is None else ChatUsageChunk(**dict(chunk), usage=usage)

    def _choice(self, answer: Answer) -> ChatChoice:
        text = answer.text
        read = read_answer(text) if self._reads_calls else ToolAnswer(text, (), False)
        choice = ChatChoice(
            index=answer.index,
            message=self._message(read),
            logprobs=self._logprobs(answer, read),
            finish_reason=chat_finish(answer.finish_reason, self._body, is_call=read.is_complete),
            stop_reason=shown_stop(answer.stop_reason, self._body),
        )
        if self._body.return_token_ids:
            choice["token_ids"] = answer.token_ids
        return choice

    def _message(self, read: ToolAnswer) -> ChatMessage:
        text = self._begun + read.text
        message = ChatMessage(
            role="assistant", content=None if read.calls and not text else text, refusal=None
        )
        calls = [FunctionCall(name=call.name, arguments=call.arguments) for call in read.calls]
        if calls and self._body.is_legacy:
            message["function_call"] = calls[0]
        elif calls:
            message["tool_calls"] = [
                ToolCall(id=call.id, type="function", function=function)
                for call, function in zip(read.calls, calls, strict=True)
            ]
        return message

    def _logprobs(self, answer: Answer, read: ToolAnswer) -> ChatLogprobs | None:
        """The tokens of the text; those of calls belong to no content."""
        if not self._body.logprobs:
            return None
        if read.text != answer.text:
            return ChatLogprobs(content=None, refusal=None)
        as_ids = bool(self._body.return_tokens_as_token_ids)
        return chat_logprobs(answer.logprobs, as_ids=as_ids)

    def _reported(self, completion: ChatCompletion, report: PromptReport) -> ChatCompletion:
        """``completion`` with what it asks for of the prompt."""
        asked = self._body.prompt_logprobs
        return ReportedChatCompletion(
            **dict(completion),
            prompt_logprobs=None if asked is None else prompt_logprobs(report, asked),
            prompt_token_ids=list(report.token_ids) if self._body.return_token_ids else None,
        )


def _piece(index: int, delta: ChatDelta) -> ChatChunkChoice:
    return ChatChunkChoice(index=index, delta=delta, logprobs=None, finish_reason=None)
