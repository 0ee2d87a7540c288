from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware

from codeserve.app.api.anthropic.errors import AnthropicErrorReply, AnthropicErrors
from codeserve.app.api.ollama.errors import OllamaErrorReply, OllamaErrors
from codeserve.app.edge.errors import ErrorReply, OpenAIErrors, install_error_handlers
from codeserve.app.edge.exchange import CurrentExchange, Resources
from codeserve.app.edge.middleware import RequestContext, UnexpectedErrors
from codeserve.app.edge.shapes import ErrorShape, ErrorShapes
from codeserve.engines.errors import (
    DeadlineExceeded,
    EngineFailure,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    QueueFull,
    RequestTooLarge,
    ServingError,
)

SHAPES = ErrorShapes(OpenAIErrors(), {"/api": OllamaErrors(), "/v1/messages": AnthropicErrors()})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/completions", OpenAIErrors),
        ("/api/chat", OllamaErrors),
        ("/api", OllamaErrors),
        ("/apis", OpenAIErrors),
        ("/v1/messages", AnthropicErrors),
        ("/v1/messages/count_tokens", AnthropicErrors),
        ("/v1/messagesque", OpenAIErrors),
    ],
)
def test_a_path_and_all_below_it_have_a_shape(path: str, kind: type) -> None:
    assert isinstance(SHAPES.of(path), kind)


@pytest.mark.parametrize("shape", [OpenAIErrors(), OllamaErrors(), AnthropicErrors()])
def test_a_body_is_as_its_schema_says_and_one_line(shape: ErrorShape) -> None:
    body = shape.body(InvalidRequest("two\nlines, \ud83d"), "req_1")
    shape.reply.model_validate(httpx.Response(200, content=body).json())
    assert b"\n" not in body


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error"),
        (ModelNotFound("x"), 404, "not_found_error"),
        (RequestTooLarge("x"), 413, "request_too_large"),
        (QueueFull("x"), 429, "rate_limit_error"),
        (EngineFailure("x"), 500, "api_error"),
        (ModelUnavailable("x"), 529, "overloaded_error"),
        (DeadlineExceeded("x"), 504, "timeout_error"),
    ],
)
def test_anthropics_clients_get_its_statuses_and_types(
    error: ServingError, status: int, kind: str
) -> None:
    reply = AnthropicErrorReply.model_validate_json(AnthropicErrors().body(error, "req_1"))
    assert AnthropicErrors().status(error) == status
    assert (reply.error.type, reply.error.message, reply.request_id) == (kind, "x", "req_1")


def test_ollamas_clients_get_a_string() -> None:
    reply = OllamaErrorReply.model_validate_json(OllamaErrors().body(QueueFull("x"), "req_1"))
    assert (reply.error, OllamaErrors().status(QueueFull("x"))) == ("x", 429)


@pytest.fixture
def dialects() -> FastAPI:
    app = FastAPI(
        middleware=[
            Middleware(RequestContext, shapes=SHAPES),
            Middleware(UnexpectedErrors),
            Middleware(Resources),
        ]
    )
    install_error_handlers(app)

    async def fall(body: dict[str, int]) -> None:
        raise ZeroDivisionError

    async def wait(body: dict[str, int]) -> None:
        raise QueueFull("wait", retry_after=2)

    async def frame(exchange: CurrentExchange) -> str:
        return exchange.error_frame(QueueFull("wait")).decode()

    for path in ("/v1/completions", "/api/chat", "/v1/messages"):
        app.add_api_route(path, fall, methods=["POST"])
        app.add_api_route(f"{path}/wait", wait, methods=["POST"])
        app.add_api_route(f"{path}/frame", frame)
    return app


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/v1/completions", ErrorReply),
        ("/api/chat", OllamaErrorReply),
        ("/v1/messages", AnthropicErrorReply),
    ],
)
async def test_every_error_of_a_dialect_has_its_shape(
    dialects: FastAPI, path: str, reply: Any
) -> None:
    transport = httpx.ASGITransport(dialects)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        responses = [
            await client.post(path, json={"a": "b"}),
            await client.post(path, json={"a": 1}),
            await client.post(f"{path}/none"),
            await client.put(path),
            await client.post(f"{path}/wait", json={"a": 1}),
        ]
        frame = await client.get(f"{path}/frame")
    assert [response.status_code for response in responses] == [400, 500, 404, 405, 429]
    assert responses[-1].headers["retry-after"] == "2"
    for response in responses:
        reply.model_validate(response.json(), strict=True)
    reply.model_validate_json(frame.json())
