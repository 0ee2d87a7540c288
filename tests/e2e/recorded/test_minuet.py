"""minuet: three equal streams at once, each of which may be ended by a signal."""

import asyncio
import json
from typing import Any

import httpx

from tests.e2e.recorded.editor import BASE, MIDDLE, PREFIX, SUFFIX
from tests.e2e.server import Server

FIM = {"model": BASE, "prompt": PREFIX, "suffix": SUFFIX, "stream": True}


async def read(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    text = ""
    async with client.stream("POST", "/v1/completions", json=body) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ")
            if line and data != "[DONE]":
                text += json.loads(data)["choices"][0]["text"]
    return text


async def test_three_equal_requests_are_answered_side_by_side(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        texts = await asyncio.gather(*(read(client, FIM | {"temperature": 0}) for _ in range(3)))

    assert texts == [MIDDLE] * 3


async def test_three_equal_requests_may_differ(server: Server) -> None:
    body = {"model": BASE, "prompt": "def", "stream": True, "temperature": 1.5, "max_tokens": 16}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        texts = await asyncio.gather(*(read(client, body) for _ in range(3)))

    assert len(set(texts)) > 1


async def test_a_request_that_was_ended_makes_room_for_the_next(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for _ in range(12):
            previous = asyncio.create_task(read(client, FIM | {"max_tokens": 256}))
            await asyncio.sleep(0.01)
            previous.cancel()
        text = await read(client, FIM | {"temperature": 0})

    assert text == MIDDLE
