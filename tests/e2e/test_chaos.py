"""Workers are killed and stopped under load; nobody else notices more than a typed error."""

import asyncio
import itertools
import random
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.load import Clients
from tests.e2e.observing import ObservedServer
from tests.eventually import eventually

ATTACKS = 50
ENOUGH = 2
"""Workers that serve before the next one is attacked."""
ALLOWED_OBJECTS = 10_000
"""The last lines of the workers' logs are kept."""
FAKES = ("fake-1", "fake-2", "fake-3")
FAKE = """
[[models]]
id = "{id}"
path = "/dev/null"
engine = "fake"
options = {{ step_seconds = 0.002 }}
"""
TINY = """
[[models]]
id = "tiny"
path = "{path}"
family = "deepseek-coder-instruct"
context_length = 512
options = {{ tune = false, n_threads = 1, cache_host_mib = 0 }}
"""
MODELS = (*FAKES, "tiny")


def config(tiny: Path) -> str:
    server = '[server]\nlog_level = "error"\nheartbeat_timeout = 2.5\n'
    return server + "".join(FAKE.format(id=name) for name in FAKES) + TINY.format(path=tiny)


@pytest.mark.timeout(900)
async def test_fifty_lost_workers_cost_typed_errors_and_nothing_else(
    tmp_path: Path, tiny_deepseek_gguf: Path
) -> None:
    with ObservedServer.running(tmp_path, config(tiny_deepseek_gguf)) as observed:
        url = observed.server.url
        await eventually(lambda: ready(url) == len(MODELS))
        before = observed.holding()
        async with Clients(url, MODELS, max_tokens=30) as clients:
            attacks = asyncio.create_task(attack(observed))
            looks = asyncio.create_task(watch_liveness(url, attacks))
            await clients.send(itertools.takewhile(lambda _: not attacks.done(), count()), 8)
            attacked = await attacks
        await eventually(lambda: ready(url) == len(MODELS))
        after = observed.holding()

        async with Clients(url, MODELS, max_tokens=4) as again:
            await again.send(range(0, 40, 10), 1)
        assert again.outcomes == {"ok": 4}
        workers = observed.server.workers()

    assert await looks > 0
    assert clients.outcomes["ok"] > 0
    assert clients.outcomes["engine_restarted"] > 0, "attacks hit running requests"
    before.assert_no_growth(after, requests=ALLOWED_OBJECTS)
    _, alive = psutil.wait_procs([*attacked, *workers], timeout=10)
    assert not alive


async def attack(observed: ObservedServer) -> list[psutil.Process]:
    """Kill and stop workers, whatever they are doing; those that were attacked."""
    chance, attacked = random.Random(7), list[psutil.Process]()
    while len(attacked) < ATTACKS:
        await eventually(lambda: ready(observed.server.url) >= ENOUGH)
        victim = chance.choice([one for one in observed.server.workers() if one not in attacked])
        with suppress(psutil.NoSuchProcess):
            (victim.kill if len(attacked) % 2 else victim.suspend)()
            attacked.append(victim)
    return attacked


async def watch_liveness(url: str, attacks: asyncio.Task[Any]) -> int:
    """Ask again and again whether the server lives: how often it said so."""
    looks = 0
    async with httpx.AsyncClient(timeout=10) as http:
        while not attacks.done():
            answer = await http.get(f"{url}/livez")
            assert answer.status_code == 200
            looks += 1
            await asyncio.sleep(0.05)
    return looks


def ready(url: str) -> int:
    """Workers that serve."""
    models = httpx.get(f"{url}/v1/models", timeout=60).json()["data"]
    return sum(model["replicas_ready"] for model in models)
