from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from codeserve.app.edge.errors import OpenAIErrors, install_error_handlers
from codeserve.app.edge.methods import AnswerOptions, HeadAsGet
from codeserve.app.edge.middleware import RequestContext
from codeserve.app.edge.shapes import ErrorShapes


def small_app() -> FastAPI:
    app = FastAPI(
        middleware=[
            Middleware(RequestContext, shapes=ErrorShapes(OpenAIErrors())),
            Middleware(AnswerOptions),
            Middleware(HeadAsGet),
        ]
    )
    install_error_handlers(app)

    async def fine() -> str:
        return "fine"

    reads, writes = APIRouter(), APIRouter()
    reads.add_api_route("/things", fine)
    reads.add_api_route("/things/{id:path}", fine)
    writes.add_api_route("/things", fine, methods=["POST"])
    writes.add_api_route("/things/{id:path}", fine, methods=["DELETE"])
    writes.add_api_route("/orders", fine, methods=["POST"])
    app.include_router(reads)
    app.include_router(writes)
    return app


@pytest.fixture
async def asgi() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(small_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_head_answers_like_get_without_a_body(asgi: httpx.AsyncClient) -> None:
    got, headed = await asgi.get("/things"), await asgi.head("/things")
    assert headed.status_code == 200
    assert headed.content == b""
    assert headed.headers["content-length"] == got.headers["content-length"]


async def test_head_of_a_route_for_posts_is_a_405(asgi: httpx.AsyncClient) -> None:
    response = await asgi.head("/orders")
    assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/things", "GET, POST, HEAD, OPTIONS"),
        ("/things/a/b", "GET, DELETE, HEAD, OPTIONS"),
        ("/orders", "POST, OPTIONS"),
    ],
)
async def test_a_path_names_the_methods_of_all_its_routes(
    asgi: httpx.AsyncClient, path: str, methods: str
) -> None:
    asked, refused = await asgi.options(path), await asgi.put(path)
    assert (asked.status_code, asked.content, asked.headers["allow"]) == (204, b"", methods)
    assert (refused.status_code, refused.headers["allow"]) == (405, methods)


async def test_a_path_without_a_route_has_no_options(asgi: httpx.AsyncClient) -> None:
    assert (await asgi.options("/none")).status_code == 404
