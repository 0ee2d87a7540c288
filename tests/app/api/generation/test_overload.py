"""A model whose engine stands still is asked more than it may take."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import psutil

from tests.app.api.generation.conftest import RUNNING, WAITING, Gate
from tests.app.conftest import RunningServer
from tests.eventually import eventually

BODY = {"model": "held", "prompt": "a", "max_tokens": 2}


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


def test_more_choices_than_ever_fit_are_no_matter_of_waiting(
    held_server: RunningServer,
) -> None:
    with held_server.client() as client:
        refused = client.post("/v1/completions", json={**BODY, "n": RUNNING + WAITING + 1})
    assert refused.status_code == 400
    assert "at most 40" in refused.json()["error"]["message"]


async def test_memory_stays_flat_while_too_many_ask(crowd: httpx.AsyncClient, gate: Gate) -> None:
    """Client and server are this process; the bodies of those who are refused are 40 MB."""
    sent = [post(crowd) for _ in range(RUNNING + WAITING)]
    await seen(crowd, RUNNING + WAITING)
    resident: list[int] = []
    for _ in range(5):
        refused = [post(crowd, prompt="a" * 200_000) for _ in range(RUNNING + WAITING)]
        assert {response.status_code for response in await asyncio.gather(*refused)} == {429}
        resident.append(psutil.Process().memory_info().rss)
    assert resident[-1] - resident[0] < 16e6
    gate.open()
    assert {response.status_code for response in await asyncio.gather(*sent)} == {200}
