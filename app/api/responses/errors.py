"""Errors of ``/v1/responses``: OpenAI's, but that a stream has events with names."""

from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.responses.events import ErrorEvent
from codeserve.app.edge.errors import ErrorFields, OpenAIErrors
from codeserve.app.edge.sse import event
from codeserve.engines.errors import ServingError


class ResponsesErrors(OpenAIErrors):
    """The shape of the Responses API."""

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """An ``error`` event: there is no response yet that could have failed."""
        fields = ErrorFields(
            message=error.message, type=error.type, param=error.param, code=error.code
        )
        told = ErrorEvent(message=error.message, param=error.param, code=error.code, error=fields)
        return event(compact_json(told), told.type)
