"""Request fields that completions and chats share.

Unknown fields of a request pass, and null stands for every optional field's default.
"""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.fields import LogitBias, StopStrings, TokenId
from codeserve.app.api.openai.forms import FormFields

__all__ = ["Body", "GenerationBody", "GenerationFields", "ReportFields", "StreamOptions"]

INT64 = 2**63
MOST_ALTERNATIVES = 100
"""Alternatives that may be shown for one token."""

Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TokenCount = Annotated[int, Field(ge=0, lt=INT64)]
AlternativeCount = Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)]
ModelName = Annotated[str, Field(min_length=1)]


class StreamOptions(Body):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    """With ``include_usage``: every chunk says what has been used up to it."""


class GenerationFields(FormFields):
    """The fields that completions and chats share, but for the model."""

    n: Annotated[int | None, Field(ge=1, le=128)] = None
    max_tokens: TokenCount | None = None
    n_predict: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    """llama.cpp's name of ``max_tokens``; -1: the rest of the context."""
    min_tokens: TokenCount | None = None
    stop: StopStrings = ()
    stop_token_ids: list[TokenId] | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    truncate_prompt_tokens: Annotated[int | None, Field(ge=1, lt=INT64)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    """-1 draws a fresh one, as null does."""
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Share | None = None
    top_k: Annotated[int | None, Field(ge=-1, lt=INT64)] = None
    min_p: Share | None = None
    typical_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Factor | None = None
    repeat_penalty: Factor | None = None
    """llama.cpp's name of ``repetition_penalty``."""
    logit_bias: LogitBias = None
    allowed_token_ids: list[TokenId] | None = None
    priority: Annotated[int | None, Field(ge=-INT64, lt=INT64)] = None
    """Lower numbers are served first."""
    cache_salt: str | None = None
    """Prompts share a cached prefix with prompts of the same salt only."""

    @property
    def choices_per_prompt(self) -> int:
        """How many answers each prompt gets."""
        return self.n or 1

    def limit(self, default: int | None) -> int | None:
        """The most tokens of one choice; None: the rest of the context."""
        if self.max_tokens is not None:
            return self.max_tokens
        if self.n_predict is None:
            return default
        return None if self.n_predict == -1 else self.n_predict

    @model_validator(mode="before")
    @classmethod
    def _unpack_extra_body(cls, fields: Any) -> Any:
        """The OpenAI client's ``extra_body``, sent as it is, means fields of the request."""
        if isinstance(fields, dict) and isinstance(fields.get("extra_body"), dict):
            return {**fields["extra_body"], **fields}
        return fields

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise refusal("stream_options", "it is allowed with 'stream' only.")
        return self

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if None not in (self.max_tokens, self.n_predict):
            raise refusal("n_predict", "it means the same as 'max_tokens'; send one of them.")
        return self

    @model_validator(mode="after")
    def _one_repetition_penalty(self) -> Self:
        if None not in (self.repetition_penalty, self.repeat_penalty):
            raise refusal(
                "repeat_penalty",
                "it means the same as 'repetition_penalty'; send one of them.",
            )
        return self


class GenerationBody(GenerationFields):
    """The fields that completions and chats share."""

    model: ModelName


class ReportFields(Body):
    """vLLM's fields that ask for more than text, on both routes."""

    prompt_logprobs: AlternativeCount | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    """Log-probabilities call tokens ``token_id:17``."""


def refusal(field: str, reason: str) -> PydanticCustomError:
    """What a validator of several fields raises: ``field`` is at fault."""
    return PydanticCustomError("invalid_value", "{reason}", {"param": field, "reason": reason})
