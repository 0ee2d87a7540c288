import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import Message

from codeserve.app.edge.ndjson import NdjsonResponse, line
from tests.eventually import eventually


async def test_each_line_is_a_write_of_its_own() -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield line(b'{"a":1}')
        yield line(b"{}")

    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await NdjsonResponse(lines())({"type": "http"}, receive, send)
    start, *bodies = sent
    assert (b"content-type", b"application/x-ndjson") in start["headers"]
    assert [body["body"] for body in bodies] == [b'{"a":1}\n', b"{}\n", b""]


async def test_a_client_that_goes_away_ends_a_stream_that_says_nothing() -> None:
    ended = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            ended.set()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    await asyncio.wait_for(NdjsonResponse(lines())({"type": "http"}, receive, send), 10)
    assert ended.is_set()


async def test_a_client_that_goes_away_frees_its_slot(start_server: Any, make_model: Any) -> None:
    """The model serves one request at a time, and each would last for minutes."""
    model = make_model("slow", step_seconds=0.05, max_concurrency=1)
    with start_server(model) as server, server.client() as client:
        body = {"model": "slow", "prompt": "a", "raw": True}
        with client.stream("POST", "/api/generate", json=body) as response:
            assert json.loads(next(response.iter_lines()))["done"] is False
        response = client.post("/api/generate", json={**body, "options": {"num_predict": 1}})
        assert response.status_code == 200
        await eventually(lambda: client.get("/v1/models/slow").json()["running"] == 0)
