"""POST /api/generate: request and replies."""

from typing import Literal

from pydantic import BaseModel

from codeserve.app.api.ollama.body import ModelBody, OutputForm
from codeserve.app.api.ollama.metrics import Metrics
from codeserve.app.api.ollama.options import Options
from codeserve.engines.types import FinishReason


class GenerateRequest(ModelBody):
    """POST /api/generate."""

    prompt: str | None = None
    """Empty or null, without a suffix: asks only whether the model is loaded."""
    suffix: str | None = None
    """Text after the hole that the model fills; empty or null: there is none."""
    system: str | None = None
    """Replaces the template's own system message."""
    raw: bool | None = None
    """The prompt is the model's as it is, without its chat template."""
    stream: bool | None = None
    """None is true."""
    format: OutputForm = None
    options: Options | None = None


class GeneratePiece(BaseModel):
    """A line of a stream."""

    model: str
    created_at: str
    response: str
    done: bool = False


class GenerateLoaded(GeneratePiece):
    """The model is loaded; nothing was generated."""

    done: bool = True
    done_reason: Literal["load"] = "load"


class GenerateResult(GeneratePiece, Metrics):
    """The last line of a stream, or a whole reply."""

    done: bool = True
    done_reason: FinishReason
