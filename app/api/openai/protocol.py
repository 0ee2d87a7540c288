"""OpenAI's requests and responses, as far as they are built.

Unknown fields of a request pass, and null stands for every optional field's default.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from codeserve.app.api.openai.fields import LogitBias, MessageText, Prompts, StopStrings
from codeserve.engines.types import FinishReason

INT64 = 2**63

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TokenCount = Annotated[int, Field(ge=0, lt=INT64)]


class Body(BaseModel):
    """A JSON object from a client: wrong types are refused, unknown fields pass."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class StreamOptions(Body):
    """What a stream carries besides text."""

    include_usage: bool | None = None


class GenerationBody(Body):
    """The fields that completions and chats share."""

    model: Annotated[str, Field(min_length=1)]
    n: Annotated[int | None, Field(ge=1, le=128)] = None
    max_tokens: TokenCount | None = None
    stop: StopStrings = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Share | None = None
    top_k: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    min_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Factor | None = None
    repeat_penalty: Factor | None = None
    """llama.cpp's name of ``repetition_penalty``."""
    logit_bias: LogitBias = None

    @property
    def choices_per_prompt(self) -> int:
        """How many answers each prompt gets."""
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        """The stream ends with a chunk of usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError(
                "invalid_value", "it is allowed with 'stream' only.", {"param": "stream_options"}
            )
        return self

    @model_validator(mode="after")
    def _one_repetition_penalty(self) -> Self:
        if None not in (self.repetition_penalty, self.repeat_penalty):
            raise PydanticCustomError(
                "invalid_value",
                "it means the same as 'repetition_penalty'; send one of them.",
                {"param": "repeat_penalty"},
            )
        return self


class CompletionRequest(GenerationBody):
    """POST /v1/completions."""

    prompt: Prompts
    suffix: str | None = None
    """Text after the hole that the model fills; empty or null: a plain completion."""


class Message(Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: MessageText = None


class ChatRequest(GenerationBody):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: TokenCount | None = None
    """Wins over ``max_tokens``; without either, the rest of the context."""


class PromptTokensDetails(BaseModel):
    """Where the prompt's tokens came from."""

    cached_tokens: int


class UsageReport(BaseModel):
    """Tokens of all choices together; a prompt counts once however many choices it has."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class CompletionChoice(BaseModel):
    """One answer, or a piece of it."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: FinishReason | None = None


class CompletionChunk(BaseModel):
    """One event of a stream of completions."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]


class Completion(CompletionChunk):
    """A whole completion; without choices, the usage event of a stream."""

    usage: UsageReport


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


class ModelCard(BaseModel):
    """A served model and how it is doing."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "codeserve"
    state: str
    phase: str
    progress: float | None
    max_model_len: int | None
    context_length: int | None
    engine: str | None
    device: str | None
    error: str | None


class ModelDetails(ModelCard):
    """A served model with all that is known of it."""

    engine_version: str | None
    vocab_size: int | None
    parameters: int | None
    max_concurrency: int | None
    repairs: list[str]
    log_tail: list[str]
    restarts: int
    running: int
    waiting: int


class ModelList(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorFields(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """The body of every response that is no success."""

    error: ErrorFields
