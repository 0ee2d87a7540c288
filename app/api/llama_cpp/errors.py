"""llama.cpp's errors: OpenAI's, but that a stream has no last event of its own."""

from codeserve.app.edge.errors import OpenAIErrors
from codeserve.app.edge.sse import event
from codeserve.engines.errors import ServingError


class LlamaCppErrors(OpenAIErrors):
    """llama.cpp's shape."""

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """The body as an event."""
        return event(self.body(error, request_id))
