"""POST /v1/chat/completions: request and replies."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from codeserve.app.api.openai.body import Body, GenerationBody, TokenCount
from codeserve.app.api.openai.fields import MessageText
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import FinishReason


class Message(Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: MessageText = None


class ChatRequest(GenerationBody):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: TokenCount | None = None
    """Wins over ``max_tokens``; without either, the rest of the context."""


class ChatMessage(BaseModel):
    """The assistant's answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: ChatMessage
    logprobs: None = None
    finish_reason: FinishReason | None


class ChatCompletion(BaseModel):
    """A whole chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageReport


class ChatDelta(TypedDict, total=False):
    """What a chunk adds to the assistant's message."""

    role: Literal["assistant"]
    content: str


class ChatChunkChoice(BaseModel):
    """A piece of one answer."""

    index: int
    delta: ChatDelta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatChunk(BaseModel):
    """One event of a stream of a chat."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]


class ChatUsageChunk(ChatChunk):
    """The usage event of a stream of a chat."""

    usage: UsageReport
