"""Workers are killed and stopped under load; nobody else notices more than a typed error."""

import asyncio
import itertools
import random
from contextlib import suppress
from itertools import count
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.load import Clients
from tests.e2e.observing import ObservedServer
from tests.e2e.server import Server

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
        await all_ready(url)
        before = observed.holding()
        async with (
            httpx.AsyncClient(base_url=url, timeout=10) as http,
            Clients(url, MODELS, max_tokens=30) as clients,
        ):
            attacks = asyncio.create_task(attack(observed.server, http))
            await clients.send(itertools.takewhile(lambda _: not attacks.done(), count()), 8)
            attacked = attacks.result()
        await all_ready(url)
        after = observed.holding()
        async with Clients(url, MODELS, max_tokens=4) as again:
            await again.send(range(0, 10 * len(MODELS), 10), 1)
        workers = observed.server.workers()

    assert again.outcomes == {"ok": len(MODELS)}
    assert clients.outcomes["ok"] > 0
    assert clients.outcomes["engine_restarted"] > 0, "attacks hit running requests"
    before.assert_no_growth(after, ALLOWED_OBJECTS)
    _, alive = psutil.wait_procs([*attacked, *workers], timeout=10)
    assert not alive


async def attack(server: Server, http: httpx.AsyncClient) -> list[psutil.Process]:
    """Kill and stop workers, whatever they are doing, while the server says that it lives; those
    that were attacked."""
    chance, attacked = random.Random(7), list[psutil.Process]()
    while len(attacked) < ATTACKS:
        assert (await http.get("/livez")).status_code == 200
        await asyncio.sleep(0.05)
        victims = [one for one in server.workers() if one not in attacked]
        if not victims or await ready(http) < ENOUGH:
            continue
        victim = chance.choice(victims)
        with suppress(psutil.NoSuchProcess):
            (victim.kill if len(attacked) % 2 else victim.suspend)()
            attacked.append(victim)
    return attacked


async def all_ready(url: str) -> None:
    """Return when every model serves."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=url, timeout=10) as http:
        while await ready(http) < len(MODELS):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.05)


async def ready(http: httpx.AsyncClient) -> int:
    """Models that serve."""
    models = (await http.get("/v1/models")).json()["data"]
    return sum(model["replicas_ready"] for model in models)
