"""Errors as clients see them: one table of statuses, one shape a dialect for bodies and streams."""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Scope

from codeserve.app.edge.disconnect import ClientDisconnected
from codeserve.app.edge.early import has_begun
from codeserve.app.edge.methods import allow_header
from codeserve.app.edge.record import RequestRecord, record_of
from codeserve.app.edge.refusals import (
    AuthenticationFailed,
    ForeignPage,
    KeyLimitReached,
    MethodNotAllowed,
    PermissionDenied,
    UnknownPath,
    UnsupportedMediaType,
)
from codeserve.app.edge.shapes import shape_of
from codeserve.app.edge.sse import DONE, HEADERS, event
from codeserve.app.edge.validation import refusal_of, unreadable_json
from codeserve.engines.errors import (
    ClientError,
    DeadlineExceeded,
    EngineRestarted,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    NothingStored,
    QueueFull,
    RequestTooLarge,
    ServerDraining,
    ServerError,
    ServingError,
)
from codeserve.model_specs.errors import PromptError, UnknownSpec

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[ServingError], int] = {
    ClientError: 400,
    AuthenticationFailed: 401,
    ForeignPage: 403,
    PermissionDenied: 403,
    ModelNotFound: 404,
    UnknownPath: 404,
    MethodNotAllowed: 405,
    NothingStored: 404,
    RequestTooLarge: 413,
    UnsupportedMediaType: 415,
    KeyLimitReached: 429,
    QueueFull: 429,
    ServerError: 500,
    ModelUnavailable: 503,
    ServerDraining: 503,
    EngineRestarted: 503,
    DeadlineExceeded: 504,
}
"""HTTP status of an error; a class without a row has its nearest ancestor's."""

CLIENT_CLOSED_REQUEST = 499
"""nginx' status for a client that went away; only the log sees it."""


def as_serving_error(error: Exception, record: RequestRecord) -> ServingError:
    """``error`` in words meant for the client; one that nobody expected is hidden, and logged with
    the id of its request."""
    match error:
        case ServingError():
            return error
        case PromptError():
            return InvalidRequest(error.message, param=error.param, code=error.code)
        case UnknownSpec():
            return InvalidRequest(error.message, code="invalid_value")
        case RequestValidationError():
            return refusal_of(error)
        case _:
            logger.error("unexpected error", exc_info=error, extra={"id": record.id})
            return ServerError(
                "The server had an error while processing your request; its log has the cause.",
                code="internal_error",
            )


def status_of(error: ServingError) -> int:
    """HTTP status of ``error``."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def naming_message(error: ServingError) -> str:
    """The message of ``error`` with the field at fault, for dialects without another place."""
    is_named = error.param is None or error.param in error.message
    return error.message if is_named else f"{error.param}: {error.message}"


def error_json(error: ServingError) -> bytes:
    """OpenAI's error object: the body of a response, or the data of an SSE frame."""
    fields = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return compact_json({"error": fields})


class ErrorFields(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """The body of every response that is no success."""

    error: ErrorFields


class OpenAIErrors:
    """OpenAI's shape, which llama.cpp's and vLLM's clients know, too."""

    reply: type[BaseModel] = ErrorReply

    def status(self, error: ServingError) -> int:
        """The table's."""
        return status_of(error)

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``{"error": {"message", "type", "param", "code"}}``."""
        return error_json(error)

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """The body as an event, and the end."""
        return event(self.body(error, request_id)) + DONE


def error_response(error: ServingError, scope: Scope) -> Response:
    """``error`` as the whole response to the request of ``scope``, in its dialect's shape; in the
    place of the events of a stream that has begun.

    What would fail again says ``x-should-retry: false``, as OpenAI's clients would repeat it: a
    500, and a model of which nothing says when it will be there, because it has failed.
    """
    record = record_of(scope)
    record.error = error.code or error.type
    record.refusal = type(error).__name__
    if isinstance(error, ModelNotFound | PermissionDenied):
        record.model = None  # a name that need not be a model's is the client's text
    shape = shape_of(scope)
    if has_begun(scope):
        return Response(shape.stream(error, record.id), headers=HEADERS)
    status = shape.status(error)
    is_gone = isinstance(error, ModelUnavailable) and error.retry_after is None
    headers = {"x-should-retry": "false"} if status == 500 or is_gone else {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after * 1000))
    return Response(shape.body(error, record.id), status, headers, media_type="application/json")


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error that a route can raise in the shape of the route's dialect."""
    for kind in (ServingError, PromptError, UnknownSpec, RequestValidationError):
        app.add_exception_handler(kind, _serving_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnected, _client_disconnected)


async def _serving_error(request: Request, error: Exception) -> Response:
    return error_response(as_serving_error(error, record_of(request.scope)), request.scope)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    record_of(request.scope).error = "disconnected"
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: wrong paths and methods, bodies that it cannot read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ServingError):
        return error_response(error.__cause__, request.scope)
    where = f"({request.method} {request.url.path})"
    headers = dict(error.headers or {})
    match error.status_code:
        case 400:
            refusal: ServingError = unreadable_json(error.__cause__)
        case 404:
            refusal = UnknownPath(f"Invalid URL {where}")
        case 405:
            refusal = MethodNotAllowed(f"Method not allowed {where}")
            headers = {"allow": allow_header(request.scope)}
        case _:
            return await _unforeseen(request, error)
    response = error_response(refusal, request.scope)
    response.headers.update(headers)
    return response


async def _unforeseen(request: Request, error: HTTPException) -> Response:
    """Answer a refusal of the framework's that has no class of its own."""
    response = error_response(ClientError(error.detail), request.scope)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


def compact_json(value: Any) -> bytes:
    """``value`` as one line of JSON in UTF-8."""
    # Messages may quote lone surrogates of a client's text; as escapes they are valid JSON.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
