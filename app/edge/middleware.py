"""What surrounds every request: its id, who is told of it, its last resort. Pure ASGI, as a wrapper
around responses would buffer streams."""

import re
import time
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.early import has_begun
from codeserve.app.edge.errors import as_serving_error, error_response
from codeserve.app.edge.observing import RequestObserver, finish
from codeserve.app.edge.record import RequestRecord, record_of
from codeserve.app.edge.shapes import ErrorShapes

UNOBSERVED = frozenset({"/livez", "/readyz", "/startupz", "/health", "/v1/health", "/metrics"})
"""Paths that are asked all the time, of which no observer is told."""

LONGEST_REQUEST_ID = 128

TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
"""The W3C's header of the trace that a request is part of."""

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
    """Gives each request an id, a record and the shape of its errors, and tells ``observers`` when
    it has ended."""

    def __init__(
        self, app: ASGIApp, shapes: ErrorShapes, observers: Sequence[RequestObserver] = ()
    ) -> None:
        self._app = app
        self._shapes = shapes
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = RequestRecord(_request_id(headers.get("x-request-id")))
        record.trace_id = _trace_id(headers.get("traceparent", ""))
        shape = self._shapes.of(scope["path"])
        scope = {**scope, "state": {"record": record, "error_shape": shape}}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = record.id
                answer["request-id"] = record.id  # Anthropic's name for it
                answer["openai-version"] = OPENAI_VERSION
                answer["openai-processing-ms"] = str(record.milliseconds)
            elif not message.get("more_body", False):
                record.complete = True
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            record.ended = time.perf_counter()
            if scope["path"] not in UNOBSERVED:
                finish(self._observers, record, scope)


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
            await error_response(as_serving_error(error, record_of(scope)), scope)(
                scope, receive, send
            )


def _request_id(given: str | None) -> str:
    """The client's own id where it is short, printable ASCII; else a fresh one."""
    if given and len(given) <= LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return f"req_{uuid.uuid4().hex}"


def _trace_id(traceparent: str) -> str | None:
    """The id of the trace that the client has begun, if it has."""
    found = TRACEPARENT.fullmatch(traceparent)
    return None if found is None else found[1]
