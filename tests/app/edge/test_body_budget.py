"""All bodies together are bounded, each until its request has ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from codeserve.app.edge.bodies import BodyBudget
from codeserve.engines.errors import QueueFull
from tests.eventually import eventually

BUDGET = 100


class Reader:
    """Reads bodies and holds its answers until it is let go."""

    def __init__(self) -> None:
        self.reading = 0
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.reading += 1
        await self.let_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def client(reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(BodyBudget(reader, BUDGET))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_body_too_many_is_refused_until_a_request_has_ended(
    client: httpx.AsyncClient, reader: Reader
) -> None:
    held = [asyncio.create_task(client.post("/", content=b"x" * 50)) for _ in range(2)]
    await eventually(lambda: reader.reading == 2)
    with pytest.raises(QueueFull, match="max_buffered_bytes") as refused:
        await client.post("/", content=b"x")
    assert (refused.value.code, refused.value.retry_after) == ("server_busy", 1.0)
    reader.let_go.set()
    await asyncio.gather(*held)
    assert (await client.post("/", content=b"x" * BUDGET)).status_code == 200


async def test_what_was_refused_or_broken_off_is_given_back(
    client: httpx.AsyncClient, reader: Reader
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 40

    with pytest.raises(QueueFull):
        await client.post("/", content=chunks())
    broken_off = asyncio.create_task(client.post("/", content=b"x" * BUDGET))
    await eventually(lambda: reader.reading == 1)
    broken_off.cancel()
    await asyncio.wait([broken_off])
    reader.let_go.set()
    assert (await client.post("/", content=b"x" * BUDGET)).status_code == 200


def test_the_client_is_told_that_the_server_is_busy(start_server: Any, make_model: Any) -> None:
    model = make_model("slow", step_seconds=0.02)
    body = {"model": "slow", "prompt": "a", "max_tokens": 1000, "stream": True}
    with (
        start_server(model, max_body_bytes=100, max_buffered_bytes=100) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json=body) as running,
    ):
        assert running.status_code == 200
        response = client.post("/v1/completions", json=body)
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "server_busy"
        assert response.headers["retry-after"] == "1"
