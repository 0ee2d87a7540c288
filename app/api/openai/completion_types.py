"""POST /v1/completions: request and replies."""

from typing import Literal

from pydantic import BaseModel

from codeserve.app.api.openai.body import GenerationBody
from codeserve.app.api.openai.fields import Prompts
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import FinishReason


class CompletionRequest(GenerationBody):
    """POST /v1/completions."""

    prompt: Prompts
    suffix: str | None = None
    """Text after the hole that the model fills; empty or null: a plain completion."""


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
