"""What surrounds every request: its id, its log line, its last resort. Pure ASGI, as a wrapper
around responses would buffer streams."""

import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.early import has_begun
from codeserve.app.edge.errors import as_serving_error, error_response
from codeserve.app.edge.record import RequestRecord, record_of
from codeserve.app.edge.shapes import ErrorShapes

PROBES = frozenset({"/livez", "/readyz", "/health", "/v1/health"})
"""Paths that are asked all the time and never logged."""

LONGEST_REQUEST_ID = 128

RESPONSE_HEADERS = (
    "x-request-id",
    "request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)
"""What clients in browsers may read besides the body."""

OPENAI_VERSION = "2020-10-01"
"""The version of its API that OpenAI names in its responses."""


class RequestContext:
    """Gives each request an id, a log line and the shape of its errors."""

    def __init__(self, app: ASGIApp, shapes: ErrorShapes) -> None:
        self._app = app
        self._shapes = shapes
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("codeserve.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_request_id(Headers(scope=scope).get("x-request-id")))
        shape = self._shapes.of(scope["path"])
        scope = {**scope, "state": {"record": record, "error_shape": shape}}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = record.id
                headers["request-id"] = record.id  # Anthropic's name for it
                headers["openai-version"] = OPENAI_VERSION
                headers["openai-processing-ms"] = str(record.milliseconds)
            elif not message.get("more_body", False):
                record.complete = True
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in PROBES:
                self._write(scope, record)

    def _write(self, scope: Scope, record: RequestRecord) -> None:
        generated = {
            "model": record.model,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
        }
        self._log.info(
            "request",
            id=record.id,
            method=scope["method"],
            path=scope["path"],
            status=record.status,
            outcome=record.outcome,
            ms=record.milliseconds,
            **{name: value for name, value in generated.items() if value is not None},
        )


class UnexpectedErrors:
    """Answers what no handler expected; within the CORS middleware, for browsers to read it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what comes after the response has started, but for comments."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if record_of(scope).status is not None and not has_begun(scope):
                raise
            await error_response(as_serving_error(error), scope)(scope, receive, send)


def _request_id(given: str | None) -> str:
    """The client's own id where it is short, printable ASCII; else a fresh one."""
    if given and len(given) <= LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return f"req_{uuid.uuid4().hex}"
