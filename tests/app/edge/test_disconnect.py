import asyncio
import socket
import time
from typing import Any

import httpx
import pytest
from fastapi import Request

from codeserve.app.edge.disconnect import ClientDisconnected, until_disconnect


class Connection:
    """A connection whose client can go away."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def test_the_result_of_the_work_comes_back() -> None:
    async def work() -> int:
        return 7

    assert await until_disconnect(Connection().request, work()) == 7


async def test_an_error_of_the_work_comes_back() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await until_disconnect(Connection().request, work())


async def test_work_is_cancelled_when_the_client_goes_away() -> None:
    connection = Connection()
    cancelled = asyncio.Event()

    async def work() -> None:
        connection.gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ClientDisconnected):
        await until_disconnect(connection.request, work())
    assert cancelled.is_set()


async def test_work_is_cancelled_with_its_request() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(until_disconnect(Connection().request, work()))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled.is_set()


def wait_until_busy(client: httpx.Client, model: str, *, running: int, waiting: int) -> None:
    """Wait until so many requests run and wait."""
    while True:
        status = client.get(f"/v1/models/{model}").json()
        if (status["running"], status["waiting"]) == (running, waiting):
            return
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_slot(client: httpx.Client, stream: bool) -> None:
    body = {"model": "slow", "prompt": "a", "max_tokens": 4000, "stream": stream}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as leaving:
        asking = asyncio.create_task(leaving.post("/v1/completions", json=body))
        await asyncio.to_thread(wait_until_busy, client, "slow", running=1, waiting=0)
        asking.cancel()
    await asyncio.to_thread(wait_until_busy, client, "slow", running=0, waiting=0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_leaves_the_queue(client: httpx.Client, stream: bool) -> None:
    body = {"model": "slow", "prompt": "a", "max_tokens": 4000, "stream": stream}
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as staying:
        served = [asyncio.create_task(staying.post("/v1/completions", json=body)) for _ in range(2)]
        await asyncio.to_thread(wait_until_busy, client, "slow", running=2, waiting=0)
        async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as leaving:
            asking = asyncio.create_task(leaving.post("/v1/completions", json=body))
            await asyncio.to_thread(wait_until_busy, client, "slow", running=2, waiting=1)
            asking.cancel()
        await asyncio.to_thread(wait_until_busy, client, "slow", running=2, waiting=0)
        for task in served:
            task.cancel()
    await asyncio.to_thread(wait_until_busy, client, "slow", running=0, waiting=0)


def test_two_hundred_cancelled_requests_leave_every_slot_free(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    for number in range(200):
        stream = "true" if number % 2 else "false"
        body = f'{{"model":"slow","prompt":"a","max_tokens":4000,"stream":{stream}}}'
        head = "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        with socket.create_connection(address) as connection:
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            time.sleep(0.005 * (number % 3))
    wait_until_busy(client, "slow", running=0, waiting=0)
    after = {"model": "slow", "prompt": "a", "max_tokens": 1}
    assert client.post("/v1/completions", json=after).status_code == 200
