"""POST /v1/messages and /v1/messages/count_tokens: requests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from codeserve.app.api.anthropic.conversation import Conversation, SystemPrompt
from codeserve.app.api.anthropic.tools import Choice, CustomTools
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.openai.body import Share, TokenCount
from codeserve.app.api.openai.fields import StopStrings


class Thinking(Body):
    """Whether the model thinks before it speaks; these models do not."""

    type: Literal["disabled", "adaptive"]


class JsonFormat(Body):
    """Text that is JSON of a schema."""

    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Body):
    """What the answer is like."""

    format: JsonFormat | None = None


class CountRequest(Body):
    """POST /v1/messages/count_tokens."""

    model: Annotated[str, Field(min_length=1)]
    messages: Conversation
    system: SystemPrompt = ()
    tools: CustomTools = ()
    tool_choice: Choice = None
    thinking: Thinking | None = None


class MessageRequest(CountRequest):
    """POST /v1/messages."""

    max_tokens: TokenCount
    """0 computes the prompt for the cache and answers nothing."""
    stop_sequences: StopStrings = ()
    temperature: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    top_p: Share | None = None
    top_k: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    stream: bool | None = None
    output_config: OutputConfig | None = None
