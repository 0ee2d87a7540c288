"""POST /v1/completions: request and replies."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from codeserve.app.api.openai.body import (
    AlternativeCount,
    GenerationBody,
    GenerationFields,
    ReportFields,
    refusal,
)
from codeserve.app.api.openai.fields import Prompts
from codeserve.app.api.openai.legacy_logprobs import LegacyLogprobs
from codeserve.app.api.openai.prompt_logprobs import PromptLogprobs
from codeserve.app.api.openai.usage_types import UsageReport
from codeserve.engines.types import FinishReason


class CompletionFields(GenerationFields, ReportFields):
    """POST /v1/engines/{model}/completions."""

    prompt: Prompts
    suffix: str | None = None
    """Text after the hole that the model fills; empty or null: a plain completion."""
    best_of: Annotated[int | None, Field(ge=1, le=128)] = None
    """Choices that are generated for each prompt, of which the ``n`` likeliest are given."""
    echo: bool | None = None
    logprobs: AlternativeCount | None = None
    add_special_tokens: bool | None = None
    """False: a prompt of text gets no BOS."""

    @property
    def candidates_per_prompt(self) -> int:
        """How many answers are generated for each prompt."""
        return self.best_of or self.choices_per_prompt

    @property
    def ranks(self) -> bool:
        """Whether more answers are generated than given."""
        return self.candidates_per_prompt > self.choices_per_prompt

    @model_validator(mode="after")
    def _choices_among_candidates(self) -> Self:
        if self.candidates_per_prompt < self.choices_per_prompt:
            raise refusal("best_of", "it must be at least 'n'.")
        if self.stream and self.ranks:
            raise refusal("best_of", "choices cannot be ranked in a stream.")
        return self

    @model_validator(mode="after")
    def _whole_reports(self) -> Self:
        if self.stream and self.prompt_logprobs is not None:
            raise refusal("prompt_logprobs", "it is not allowed with 'stream'.")
        return self

    @model_validator(mode="after")
    def _prompt_around_a_hole(self) -> Self:
        if self.suffix and self.echo:
            raise refusal("echo", "it is not allowed with 'suffix'.")
        if self.suffix and self.add_special_tokens is False:
            raise refusal("add_special_tokens", "a prompt with a 'suffix' always has them.")
        if self.suffix and self.truncate_prompt_tokens is not None:
            raise refusal("truncate_prompt_tokens", "it would cut into a prompt with a 'suffix'.")
        return self


class CompletionRequest(CompletionFields, GenerationBody):
    """POST /v1/completions."""


class CompletionChoice(TypedDict):
    """One answer, or a piece of it."""

    text: str
    index: int
    logprobs: LegacyLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: NotRequired[str | int | None]
    prompt_logprobs: NotRequired[PromptLogprobs]
    prompt_token_ids: NotRequired[list[int]]
    token_ids: NotRequired[list[int]]


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
