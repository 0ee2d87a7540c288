"""POST /v1/responses: the request."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.body import Share
from codeserve.app.api.responses.input_items import Conversation
from codeserve.app.api.responses.tools import Choice, FunctionTools

LOGPROBS = "message.output_text.logprobs"
"""The value of ``include`` that asks for log-probabilities."""


class TextFormat(Body):
    """The form of the text."""

    type: Literal["text", "json_object", "json_schema"]
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None

    @model_validator(mode="after")
    def _schema_is_there(self) -> Self:
        if self.type == "json_schema" and self.schema_ is None:
            raise PydanticCustomError(
                "invalid_value",
                "a format of type 'json_schema' needs a schema.",
                {"param": "text.format.schema"},
            )
        return self


class TextOptions(Body):
    """What the text is like."""

    format: TextFormat | None = None


class ResponseRequest(Body):
    """POST /v1/responses."""

    model: Annotated[str, Field(min_length=1)]
    input: Conversation
    instructions: str | None = None
    """A system message ahead of ``input``."""
    max_output_tokens: Annotated[int | None, Field(ge=1, lt=2**63)] = None
    """None: the rest of the context."""
    temperature: Annotated[float | None, Field(ge=0, le=2, allow_inf_nan=False)] = None
    top_p: Share | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    include: list[str] | None = None
    text: TextOptions | None = None
    tools: FunctionTools = ()
    tool_choice: Choice = "auto"
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None

    @property
    def text_format(self) -> TextFormat | None:
        """The form that the text must have; None: any."""
        return self.text.format if self.text is not None else None

    @property
    def logprobs(self) -> int | None:
        """Alternatives to score for each token; None: nothing is scored."""
        asked = LOGPROBS in (self.include or ()) or self.top_logprobs
        return (self.top_logprobs or 0) if asked else None
