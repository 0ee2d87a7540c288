from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import Scope

from codeserve.app.edge.disconnect import ClientDisconnected
from codeserve.app.edge.errors import OpenAIErrors, install_error_handlers
from codeserve.app.edge.middleware import UNOBSERVED, RequestContext, UnexpectedErrors
from codeserve.app.edge.record import RequestRecord
from codeserve.app.edge.request_log import RequestLog
from codeserve.app.edge.shapes import ErrorShapes


class Unfit:
    """An observer that fails."""

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        raise ZeroDivisionError


def small_app() -> FastAPI:
    app = FastAPI(
        middleware=[
            Middleware(
                RequestContext,
                shapes=ErrorShapes(OpenAIErrors()),
                observers=[Unfit(), RequestLog()],
            ),
            Middleware(UnexpectedErrors),
        ]
    )
    install_error_handlers(app)

    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    async def fine() -> str:
        return "fine"

    async def fall() -> str:
        raise ZeroDivisionError("secret")

    async def lose() -> str:
        raise ClientDisconnected

    app.add_api_route("/echo", echo, methods=["POST"])
    app.add_api_route("/fine", fine)
    app.add_api_route("/livez", fine)
    app.add_api_route("/fall", fall)
    app.add_api_route("/lose", lose)
    return app


@pytest.fixture
async def asgi() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(small_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def log_lines() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


async def test_every_response_has_an_id_of_its_own(asgi: httpx.AsyncClient) -> None:
    ids = {(await asgi.get(path)).headers["x-request-id"] for path in ("/fine", "/fine", "/none")}
    assert len(ids) == 3


async def test_a_clients_own_id_comes_back(asgi: httpx.AsyncClient) -> None:
    response = await asgi.get("/fine", headers={"x-request-id": "abc-1"})
    assert response.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("given", ["", "x" * 129, "tab\there"])
async def test_an_unfit_id_is_replaced(asgi: httpx.AsyncClient, given: str) -> None:
    response = await asgi.get("/fine", headers={"x-request-id": given})
    assert response.headers["x-request-id"].startswith("req_")


async def test_the_id_is_there_under_anthropics_name_too(asgi: httpx.AsyncClient) -> None:
    headers = (await asgi.get("/fine")).headers
    assert headers["request-id"] == headers["x-request-id"]


async def test_the_version_of_openais_api_is_told(asgi: httpx.AsyncClient) -> None:
    assert (await asgi.get("/none")).headers["openai-version"] == "2020-10-01"


async def test_the_time_to_the_headers_is_told(asgi: httpx.AsyncClient) -> None:
    assert (await asgi.get("/fine")).headers["openai-processing-ms"].isdecimal()


async def test_what_nobody_expected_is_a_500_with_an_id_and_without_a_traceback(
    asgi: httpx.AsyncClient,
) -> None:
    response = await asgi.get("/fall")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text
    assert response.headers["x-request-id"].startswith("req_")


async def test_a_request_is_one_log_line(
    log_lines: list[structlog.typing.EventDict], asgi: httpx.AsyncClient
) -> None:
    await asgi.get("/none", headers={"x-request-id": "abc-1"})
    (line,) = log_lines
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "id": "abc-1",
        "method": "GET",
        "path": "/none",
        "status": 404,
        "outcome": "invalid_request_error",
    }


async def test_the_line_names_the_clients_trace_and_no_made_up_text_at_length(
    log_lines: list[structlog.typing.EventDict], asgi: httpx.AsyncClient
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await asgi.get("/" + "x" * 1000, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    await asgi.get("/fine", headers={"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    long, short = log_lines
    assert (long["trace_id"], len(long["path"])) == (trace, 201)
    assert "trace_id" not in short


async def test_a_client_that_went_away_before_its_response_is_logged_as_such(
    log_lines: list[structlog.typing.EventDict], asgi: httpx.AsyncClient
) -> None:
    await asgi.get("/lose")
    (line,) = log_lines
    assert (line["status"], line["outcome"]) == (499, "disconnected")


@pytest.mark.parametrize("path", sorted(UNOBSERVED))
async def test_probes_and_metrics_are_not_logged(
    log_lines: list[structlog.typing.EventDict], asgi: httpx.AsyncClient, path: str
) -> None:
    await asgi.get(path)
    assert log_lines == []


async def test_an_observer_that_fails_costs_neither_the_response_nor_other_observers(
    log_lines: list[structlog.typing.EventDict],
    caplog: pytest.LogCaptureFixture,
    asgi: httpx.AsyncClient,
) -> None:
    assert (await asgi.get("/fine")).json() == "fine"
    assert "an observer of requests failed" in caplog.text
    assert [line["event"] for line in log_lines] == ["request"]
