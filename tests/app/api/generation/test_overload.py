"""A model whose engine stands still is asked more than it may take."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import RunningServer, fake_model, running_server
from tests.eventually import eventually

RUNNING, WAITING = 8, 32
BODY = {"model": "held", "prompt": "a", "max_tokens": 2}


class Gate:
    """While it is closed, the engine stands still."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        self.path.touch()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate") / "closed")


@pytest.fixture(scope="module")
def held_server(gate: Gate) -> Iterator[RunningServer]:
    model = fake_model("held", max_concurrency=RUNNING, held_by=str(gate.path))
    model = model.model_copy(update={"max_waiting_tokens": 500})
    with running_server(model, max_waiting=WAITING) as running:
        yield running


@pytest.fixture
async def crowd(held_server: RunningServer, gate: Gate) -> Any:
    """A client of 200 connections, in front of a closed gate."""
    gate.close()
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=held_server.url, limits=limits, timeout=60) as client:
        yield client
    gate.open()


def post(client: httpx.AsyncClient, **fields: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post("/v1/completions", json={**BODY, **fields}))


async def seen(client: httpx.AsyncClient, requests: int) -> None:
    """Wait until the engine has said, with a heartbeat, that it has so many."""
    async with asyncio.timeout(30):
        while True:
            model = (await client.get("/v1/models/held")).json()
            if model["running"] + model["waiting"] == requests:
                return
            await asyncio.sleep(0.05)


async def test_200_clients_get_40_answers_and_160_refusals(
    crowd: httpx.AsyncClient, gate: Gate
) -> None:
    sent = [post(crowd, stream=number % 2 == 0) for number in range(200)]
    await eventually(lambda: sum(task.done() for task in sent) == 160)
    refused = [task.result() for task in sent if task.done()]
    gate.open()
    statuses = Counter(response.status_code for response in await asyncio.gather(*sent))
    assert statuses == {200: RUNNING + WAITING, 429: 160}
    for response in refused:
        assert response.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(response.headers["retry-after"]) <= 60


async def test_a_client_that_hangs_up_in_the_queue_makes_room(
    crowd: httpx.AsyncClient, gate: Gate
) -> None:
    sent = [post(crowd, stream=number % 2 == 0) for number in range(RUNNING + WAITING)]
    await seen(crowd, RUNNING + WAITING)
    assert (await post(crowd)).status_code == 429
    for gone in sent[-4:]:
        gone.cancel()
    await seen(crowd, RUNNING + WAITING - 4)
    sent[-4:] = [post(crowd) for _ in range(4)]
    await seen(crowd, RUNNING + WAITING)
    assert (await post(crowd)).status_code == 429
    gate.open()
    assert {response.status_code for response in await asyncio.gather(*sent)} == {200}


async def test_prompts_of_too_many_tokens_do_not_wait_together(
    crowd: httpx.AsyncClient, gate: Gate
) -> None:
    sent = [post(crowd) for _ in range(RUNNING)]
    await seen(crowd, RUNNING)
    sent.append(post(crowd, prompt="a" * 400))
    await seen(crowd, RUNNING + 1)
    refused = await post(crowd, prompt="a" * 200)
    assert refused.status_code == 429
    assert "max_waiting_tokens" in refused.json()["error"]["message"]
    sent.append(post(crowd, prompt="a" * 50))
    gate.open()
    assert {response.status_code for response in await asyncio.gather(*sent)} == {200}
