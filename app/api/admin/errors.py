"""OpenAI's errors with what Xinference's clients show of them."""

import json

from pydantic import BaseModel

from codeserve.app.edge.errors import (
    ErrorReply,
    OpenAIErrors,
    compact_json,
    error_json,
    naming_message,
)
from codeserve.engines.errors import ServingError


class AdminErrorReply(ErrorReply):
    """The body of every response of these routes that is no success."""

    detail: str
    """The message once more, where Xinference's clients look for it."""


class AdminErrors(OpenAIErrors):
    """OpenAI's shape with Xinference's ``detail``."""

    reply: type[BaseModel] = AdminErrorReply

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``{"error": {"message", "type", "param", "code"}, "detail"}``."""
        return compact_json({**json.loads(error_json(error)), "detail": naming_message(error)})
