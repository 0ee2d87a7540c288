"""POST /v1/chat/completions: request and replies."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.body import GenerationBody, ReportFields, TokenCount, refusal
from codeserve.app.api.openai.fields import MessageText
from codeserve.app.api.openai.prompt_logprobs import PromptLogprobs
from codeserve.app.api.openai.tool_fields import FunctionCallField, ToolCallField, ToolFields
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import FinishReason

ChatFinish = FinishReason | Literal["tool_calls", "function_call"]
"""Why an answer ended."""


class Message(Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: MessageText = None
    name: str | None = None
    """Of a function: the one that was called. Otherwise ignored."""
    refusal: str | None = None
    """What the assistant said instead of ``content``."""
    tool_calls: list[ToolCallField] | None = None
    """Of the assistant."""
    tool_call_id: str | None = None
    """Of a tool: the call that it answers."""
    function_call: FunctionCallField | None = None
    """Of the assistant; the older form of ``tool_calls``."""


class ChatRequest(GenerationBody, ReportFields, ToolFields):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: TokenCount | None = None
    """Wins over ``max_tokens``; without either, the rest of the context."""
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    add_generation_prompt: bool | None = None
    """False: the assistant's turn is not begun; the model goes on after the last message."""
    continue_final_message: bool | None = None
    """True: the last message, the assistant's, goes on where it ends."""
    echo: bool | None = None
    """True: the answer begins with the last message, if that is the assistant's."""

    @model_validator(mode="after")
    def _alternatives_of_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise refusal("top_logprobs", "it is allowed with 'logprobs' only.")
        return self

    @model_validator(mode="after")
    def _one_end_of_the_prompt(self) -> Self:
        if self.continue_final_message and self.add_generation_prompt:
            raise refusal(
                "continue_final_message",
                "the last message goes on or a new one begins; it cannot go with "
                "'add_generation_prompt'.",
            )
        return self

    @model_validator(mode="after")
    def _scored_prompt_at_once(self) -> Self:
        if self.prompt_logprobs is not None and self.stream:
            raise refusal("prompt_logprobs", "it is not allowed with 'stream'.")
        return self


class ScoredToken(TypedDict):
    """A token and its log-probability."""

    token: str
    """Bytes that are no text by themselves are escaped, such as ``\\xf0``."""
    logprob: float
    bytes: list[int]


class ScoredChoice(ScoredToken):
    """The token that was chosen, and what could have been in its place."""

    top_logprobs: list[ScoredToken]


class ChatLogprobs(TypedDict):
    """The tokens of a message's content; None for a message that is calls only."""

    content: list[ScoredChoice] | None
    refusal: None


class FunctionCall(TypedDict):
    """A function to call."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool to call."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class ChatMessage(TypedDict):
    """The assistant's answer."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[ToolCall]]
    function_call: NotRequired[FunctionCall]


class ChatChoice(TypedDict):
    """One answer."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish | None
    stop_reason: str | int | None
    """The stop string or id that ended it, of those that the request named."""
    token_ids: NotRequired[list[int]]


class ChatCompletion(BaseModel):
    """A whole chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageReport


class ReportedChatCompletion(ChatCompletion):
    """A whole chat completion that reports on its prompt, as vLLM's do."""

    prompt_logprobs: PromptLogprobs | None
    prompt_token_ids: list[int] | None


class FunctionCallDelta(TypedDict, total=False):
    """What a chunk adds to a call."""

    name: str
    arguments: str


class ToolCallDelta(TypedDict):
    """A call begun, with its id and name, or more of its arguments."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: FunctionCallDelta


class ChatDelta(TypedDict, total=False):
    """What a chunk adds to the assistant's message."""

    role: Literal["assistant"]
    content: str | None
    tool_calls: list[ToolCallDelta]
    function_call: FunctionCallDelta


class ChatChunkChoice(TypedDict):
    """A piece of one answer."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish | None
    stop_reason: NotRequired[str | int | None]
    """With the last piece."""
    token_ids: NotRequired[list[int]]


class ChatChunk(BaseModel):
    """One event of a stream of a chat."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]


class ChatUsageChunk(ChatChunk):
    """An event that says what was used."""

    usage: UsageReport


class ChatPromptChunk(ChatChunk):
    """The first event of a stream that shows token ids."""

    prompt_token_ids: list[int]
