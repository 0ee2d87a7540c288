"""What surrounds every request: its id, its log line, its size limit. Pure ASGI, as a wrapper
around responses would buffer streams."""

import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.errors import as_serving_error, error_response
from codeserve.app.edge.record import RequestRecord
from codeserve.engines.errors import RequestTooLarge

PROBES = frozenset({"/livez", "/readyz", "/health", "/v1/health"})
"""Paths that are asked all the time and never logged."""

LONGEST_REQUEST_ID = 128


class RequestContext:
    """Gives each request an id and a log line, and answers what no handler expected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("codeserve.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_request_id(Headers(scope=scope).get("x-request-id")))
        scope.setdefault("state", {})["record"] = record

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = record.id
                headers["openai-processing-ms"] = str(record.milliseconds)
            elif not message.get("more_body", False):
                record.complete = True
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if record.status is not None:
                raise
            await error_response(as_serving_error(error), scope)(scope, receive, send_with_id)
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


class HeadAsGet:
    """Answers HEAD on every GET route: the same headers, no body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


class BodyLimit:
    """Refuses bodies of more than ``max_bytes``, by their announced and by their real size."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await error_response(self._refusal(), scope)(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._refusal()
            return message

        await self._app(scope, receive_limited, send)

    def _refusal(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"The request body is larger than {self._max_bytes} bytes, this server's limit "
            "(max_body_bytes)."
        )


def _request_id(given: str | None) -> str:
    """The client's own id where it is short, printable ASCII; else a fresh one."""
    if given and len(given) <= LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return f"req_{uuid.uuid4().hex}"
