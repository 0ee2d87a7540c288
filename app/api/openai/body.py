"""Request fields that completions and chats share.

Unknown fields of a request pass, and null stands for every optional field's default.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from codeserve.app.api.openai.fields import LogitBias, StopStrings

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
