"""Errors as clients see them: one table of statuses, one shape for bodies and for streams."""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from codeserve.app.edge.disconnect import ClientDisconnected
from codeserve.app.edge.record import record_of
from codeserve.app.edge.validation import malformed_json, refusal_of
from codeserve.engines.errors import (
    ClientError,
    DeadlineExceeded,
    EngineRestarted,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    QueueFull,
    RequestTooLarge,
    ServerError,
    ServingError,
)
from codeserve.model_specs.errors import PromptError, UnknownSpec

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[ServingError], int] = {
    ClientError: 400,
    ModelNotFound: 404,
    RequestTooLarge: 413,
    QueueFull: 429,
    ServerError: 500,
    ModelUnavailable: 503,
    EngineRestarted: 503,
    DeadlineExceeded: 504,
}
"""HTTP status of an error; a class without a row has its nearest ancestor's."""

CLIENT_CLOSED_REQUEST = 499
"""nginx' status for a client that went away; only the log sees it."""


def as_serving_error(error: Exception) -> ServingError:
    """``error`` in words meant for the client; one that nobody expected is logged and hidden."""
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
            logger.error("unexpected error", exc_info=error)
            return ServerError(
                "The server had an error while processing your request; its log has the cause.",
                code="internal_error",
            )


def status_of(error: ServingError) -> int:
    """HTTP status of ``error``."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def error_json(error: ServingError) -> bytes:
    """OpenAI's error object: the body of a response, or the data of an SSE frame."""
    fields = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return _compact({"error": fields})


def error_response(error: ServingError, scope: Scope) -> Response:
    """``error`` as the whole response to the request of ``scope``.

    A 500 says ``x-should-retry: false``, as OpenAI's clients would repeat the failing work.
    """
    record_of(scope).error = error.code or error.type
    status = status_of(error)
    headers = {"x-should-retry": "false"} if status == 500 else {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after * 1000))
    return Response(error_json(error), status, headers, media_type="application/json")


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error that a route can raise in OpenAI's shape."""
    for kind in (ServingError, PromptError, UnknownSpec, RequestValidationError):
        app.add_exception_handler(kind, _serving_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(ClientDisconnected, _client_disconnected)


async def _serving_error(request: Request, error: Exception) -> Response:
    return error_response(as_serving_error(error), request.scope)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _http_exception(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: wrong paths and methods, bodies that it cannot read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ServingError):
        return error_response(error.__cause__, request.scope)
    if error.status_code == 400:
        return error_response(malformed_json(), request.scope)
    where = f"({request.method} {request.url.path})"
    message = {404: f"Invalid URL {where}", 405: f"Method not allowed {where}"}.get(
        error.status_code, error.detail
    )
    response = error_response(ClientError(message), request.scope)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


def _compact(value: Any) -> bytes:
    # Messages may quote lone surrogates of a client's text; as escapes they are valid JSON.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
