"""Anthropic's errors: their types say more than their statuses."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from codeserve.app.edge.errors import compact_json, naming_message, status_of
from codeserve.app.edge.sse import event
from codeserve.engines.errors import ServingError

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""HTTP status of OpenAI's dialect to Anthropic's type; what has no row is the client's fault."""

OVERLOADED = 529
"""What Anthropic answers where others answer 503; its clients repeat the request after both."""


class AnthropicErrorFields(BaseModel):
    """What went wrong."""

    type: str
    message: str


class AnthropicErrorReply(BaseModel):
    """The body of every response that is no success, and the data of a stream's ``error`` event."""

    type: Literal["error"] = "error"
    error: AnthropicErrorFields
    request_id: str


class AnthropicErrors:
    """Anthropic's shape."""

    reply = AnthropicErrorReply

    def status(self, error: ServingError) -> int:
        """The table's, but 529 for 503."""
        status = status_of(error)
        return OVERLOADED if status == 503 else status

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``{"type": "error", "error": {"type", "message"}, "request_id"}``; the message names the
        field at fault, as there is no other place for it."""
        kind = TYPES.get(status_of(error), "invalid_request_error")
        return compact_json(
            {
                "type": "error",
                "error": {"type": kind, "message": naming_message(error)},
                "request_id": request_id,
            }
        )

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """The body as an ``error`` event."""
        return event(self.body(error, request_id), "error")
