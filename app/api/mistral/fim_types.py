"""POST /v1/fim/completions: request and replies."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from codeserve.app.api.openai.body import INT64, Body, Penalty, Share, TokenCount
from codeserve.app.api.openai.fields import StopStrings
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import FinishReason


class FimRequest(Body):
    """POST /v1/fim/completions."""

    model: str | None = None
    """None: the first model that fills in a middle."""
    prompt: str
    """What comes before the cursor; control tokens spelled in it are text."""
    suffix: str | None = None
    """What comes after the cursor; empty or null: the prompt is continued."""
    max_tokens: Annotated[int | None, Field(ge=1, lt=INT64)] = None
    """None: as many as the context holds."""
    min_tokens: TokenCount | None = None
    random_seed: Annotated[int | None, Field(ge=0, lt=2 * INT64)] = None
    stop: StopStrings = ()
    stream: bool | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    """The model's default unless given, as all sampling is."""
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    """Not Mistral's, but Continue sends it, and ``frequency_penalty``."""
    frequency_penalty: Penalty | None = None


class FimMessage(BaseModel):
    """The middle."""

    role: Literal["assistant"] = "assistant"
    content: str
    tool_calls: None = None


class FimChoice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: FimMessage
    finish_reason: FinishReason | None


class FimCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[FimChoice]
    usage: UsageReport


class FimDelta(TypedDict, total=False):
    """A piece of the middle; its content is a string in every chunk, which Tabby relies on."""

    role: Literal["assistant"]
    content: str


class FimChunkChoice(BaseModel):
    """A piece of the one answer."""

    index: Literal[0] = 0
    delta: FimDelta
    finish_reason: FinishReason | None = None


class FimChunk(BaseModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[FimChunkChoice]


class FimLastChunk(FimChunk):
    """The event that ends a stream."""

    usage: UsageReport
