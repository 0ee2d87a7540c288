"""POST /api/chat: request and replies."""

from typing import Any, Literal

from pydantic import BaseModel

from codeserve.app.api.ollama.body import ModelBody, OutputForm
from codeserve.app.api.ollama.metrics import Metrics
from codeserve.app.api.ollama.options import Options
from codeserve.app.api.openai.base_body import Body
from codeserve.engines.types import FinishReason


class CalledFunction(Body):
    """A function that the assistant has called."""

    name: str
    arguments: dict[str, Any] | None = None


class PastToolCall(Body):
    """A call in the history of a chat."""

    id: str | None = None
    function: CalledFunction


class OllamaMessage(Body):
    """A turn of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: list[PastToolCall] | None = None
    tool_name: str | None = None
    """Of a tool's result."""
    tool_call_id: str | None = None
    """Of a tool's result."""


class OfferedFunction(Body):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """The JSON schema of its arguments."""


class OfferedTool(Body):
    """A tool that the model may call."""

    type: Literal["function"] | None = None
    function: OfferedFunction


class OllamaChatRequest(ModelBody):
    """POST /api/chat."""

    messages: list[OllamaMessage] | None = None
    """None or empty: asks only whether the model is loaded."""
    tools: list[OfferedTool] | None = None
    stream: bool | None = None
    """None is true."""
    format: OutputForm = None
    options: Options | None = None


class Called(BaseModel):
    """What the model calls."""

    name: str
    arguments: dict[str, Any]


class OllamaToolCall(BaseModel):
    """A call of the model's. It has no id: Zed reads none beside ``function``."""

    function: Called


class Said(BaseModel):
    """What the assistant says."""

    role: Literal["assistant"] = "assistant"
    content: str


class SaidAndCalled(Said):
    """What the assistant says, and which tools it calls."""

    tool_calls: list[OllamaToolCall]


class ChatPiece(BaseModel):
    """A line of a stream."""

    model: str
    created_at: str
    message: SaidAndCalled | Said
    done: bool = False


class ChatLoaded(ChatPiece):
    """The model is loaded; nothing was generated."""

    done: bool = True
    done_reason: Literal["load"] = "load"


class ChatResult(ChatPiece, Metrics):
    """The last line of a stream, or a whole reply."""

    done: bool = True
    done_reason: FinishReason
