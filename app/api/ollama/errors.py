"""Ollama's errors: one string."""

from pydantic import BaseModel

from codeserve.app.edge.errors import compact_json, naming_message, status_of
from codeserve.app.edge.ndjson import line
from codeserve.engines.errors import ServingError


class OllamaErrorReply(BaseModel):
    """The body of every response that is no success, and the last line of a stream that broke."""

    error: str


class OllamaErrors:
    """Ollama's shape."""

    reply = OllamaErrorReply

    def status(self, error: ServingError) -> int:
        """The table's."""
        return status_of(error)

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``{"error": "..."}``; the message names the field at fault."""
        return compact_json({"error": naming_message(error)})

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """The body as a line."""
        return line(self.body(error, request_id))
