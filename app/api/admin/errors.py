"""OpenAI's errors with what Xinference's clients show of them."""

import json

from codeserve.app.edge.errors import (
    ErrorReply,
    compact_json,
    error_json,
    naming_message,
    status_of,
)
from codeserve.engines.errors import ServingError


class AdminErrorReply(ErrorReply):
    """The body of every response of these routes that is no success."""

    detail: str
    """The message once more, where Xinference's clients look for it."""


class AdminErrors:
    """OpenAI's shape with Xinference's ``detail``."""

    reply = AdminErrorReply

    def status(self, error: ServingError) -> int:
        """The table's."""
        return status_of(error)

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``{"error": {"message", "type", "param", "code"}, "detail"}``."""
        return compact_json({**json.loads(error_json(error)), "detail": naming_message(error)})
