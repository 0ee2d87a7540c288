"""The response of POST /v1/responses."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from codeserve.app.api.responses.tools import AllowedTools, FunctionName, FunctionTool, Mode

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Status = Literal["in_progress", "completed", "incomplete", "failed"]


class TopLogprob(BaseModel):
    """A token that could have come."""

    token: str
    bytes: list[int]
    logprob: float


class Logprob(TopLogprob):
    """The token that came, and the likeliest ones in its place."""

    top_logprobs: list[TopLogprob]


class OutputText(BaseModel):
    """Text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = []
    logprobs: list[Logprob] = []


class OutputMessage(BaseModel):
    """What the model says."""

    type: Literal["message"] = "message"
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class FunctionCall(BaseModel):
    """What the model wants called."""

    type: Literal["function_call"] = "function_call"
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem = OutputMessage | FunctionCall


class InputDetails(BaseModel):
    """Where the prompt's tokens came from."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(BaseModel):
    """What the generated tokens are."""

    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    """What the response cost, in tokens."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class IncompleteDetails(BaseModel):
    """Why the model could not finish."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseFailure(BaseModel):
    """Why a response broke off."""

    code: Literal["server_error"] = "server_error"
    message: str


class ReasoningOptions(BaseModel):
    """These models do not reason apart from their text."""

    effort: None = None
    summary: None = None


class Response(BaseModel):
    """A response, finished or on its way, with what was asked for."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status = "in_progress"
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[OutputItem] = []
    usage: ResponseUsage | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    temperature: float
    top_p: float
    top_logprobs: int
    text: dict[str, Any] = Field(examples=[{"format": {"type": "text"}}])
    tools: list[FunctionTool]
    tool_choice: Mode | FunctionName | AllowedTools
    parallel_tool_calls: bool
    truncation: Literal["disabled"] = "disabled"
    reasoning: ReasoningOptions = ReasoningOptions()
    metadata: dict[str, str]
    user: str | None
    service_tier: Literal["default"] = "default"
    previous_response_id: None = None
    background: Literal[False] = False
    store: Literal[False] = False


class InputTokenCount(BaseModel):
    """POST /v1/responses/input_tokens."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
