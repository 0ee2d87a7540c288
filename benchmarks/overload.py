"""How fast a request that is one too many is refused, and what that costs.

    .venv/bin/python benchmarks/overload.py --times 10

Starts ``codeserve serve`` with fake engines. First one of them serves slowly, and so many clients
ask that there are ``--times`` as many as the model takes; who is refused asks again after
``--pause`` seconds, and keeps the connection. Prints how many requests a second that came to, how
long refusals took, from the first byte sent to the last byte read, as this one client process sees
it, and the memory and the CPU time of the API process.

Then one client asks one request after the other: of a model that is full, of one that answers at
once, and of a route of FastAPI that returns constant JSON, in a server of its own. Prints the CPU
time that each costs, medians of rounds that take turns.
"""

import argparse
import asyncio
import gc
import multiprocessing
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn
from fastapi import FastAPI

RUNNING, WAITING = 8, 32
CONFIG = """
[server]
max_waiting = {waiting}

[[models]]
id = "fake"
path = "{weights}"
engine = "fake"
max_concurrency = {running}
options = {{ step_seconds = 0.05 }}

[[models]]
id = "full"
path = "{weights}"
engine = "fake"
max_concurrency = 1
max_waiting = 0
options = {{ step_seconds = 3600 }}

[[models]]
id = "quick"
path = "{weights}"
engine = "fake"
"""
TOKENS = 20
START_SECONDS = 60
ROUNDS, REQUESTS = 9, 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=10, help="clients for each one that is taken")
    parser.add_argument("--seconds", type=float, default=20, help="how long they ask")
    parser.add_argument("--pause", type=float, default=5, help="seconds after which they ask again")
    given = parser.parse_args()
    with running_server() as (url, api):
        overload(url, api, given.times * (RUNNING + WAITING), given.seconds, given.pause)
        with bare_route() as (bare_url, bare):
            costs(url, api, bare_url, bare)


def overload(url: str, api: psutil.Process, clients: int, seconds: float, pause: float) -> None:
    """Have more clients ask than are taken, and print how that went."""
    asyncio.run(ask(url, clients, 2, pause))  # Warms up.
    before, cpu_before = api.memory_info().rss, cpu_seconds(api)
    statuses, refusals = asyncio.run(ask(url, clients, seconds, pause))
    after, cpu = api.memory_info().rss, cpu_seconds(api) - cpu_before
    cuts = statistics.quantiles(refusals, n=100)
    print(f"{clients} clients, {RUNNING} running, {WAITING} waiting: {dict(statuses)}")
    print(f"asked per second: {statuses.total() / seconds:.0f}")
    print(f"429: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms")
    print(f"API process: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    print(f"{cpu / statuses.total() * 1000:.2f} ms of its CPU time a request, served or refused")


def costs(url: str, api: psutil.Process, bare_url: str, bare: psutil.Process) -> None:
    """Print the CPU time of one refused request, of one served, and of a bare route."""
    with httpx.Client(timeout=None) as client, holding(client, f"{url}/v1/completions"):
        kinds = {
            "bare route": (bare, f"{bare_url}/bare", completion("fake"), 200),
            "refused": (api, f"{url}/v1/completions", completion("full"), 429),
            f"served, {TOKENS} tokens": (api, f"{url}/v1/completions", completion("quick"), 200),
        }
        spent: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, (process, address, body, status) in kinds.items():
                before = cpu_seconds(process)
                for _ in range(REQUESTS):
                    assert client.post(address, json=body).status_code == status
                spent[name].append((cpu_seconds(process) - before) / REQUESTS)
    floor = statistics.median(spent["bare route"])
    for name, seconds in spent.items():
        median = statistics.median(seconds)
        print(f"{name}: {median * 1000:.2f} ms of CPU time, {median / floor:.1f} bare routes")


def completion(model: str) -> Mapping[str, Any]:
    """The request that is asked of ``model``."""
    return {"model": model, "prompt": "def f(", "max_tokens": TOKENS}


@contextmanager
def holding(client: httpx.Client, address: str) -> Iterator[None]:
    """Use up the model that is to be full."""
    body = {**completion("full"), "stream": True}
    with client.stream("POST", address, json=body) as response:
        response.raise_for_status()
        yield


@contextmanager
def running_server() -> Iterator[tuple[str, psutil.Process]]:
    """The URL of codeserve with its models, and its API process."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "fake.toml")
        config.write_text(CONFIG.format(weights=folder, running=RUNNING, waiting=WAITING))
        port = free_port()
        server = subprocess.Popen(
            [
                *(Path(sys.executable).with_name("codeserve"), "serve"),
                *("--config", str(config), "--port", str(port)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{url}/readyz")
            yield url, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


@contextmanager
def bare_route() -> Iterator[tuple[str, psutil.Process]]:
    """The URL of a server that has a constant route only, and its process."""
    port = free_port()
    server = multiprocessing.get_context("spawn").Process(target=serve_bare, args=(port,))
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(f"{url}/openapi.json")
        yield url, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.join()


def serve_bare(port: int) -> None:
    """Serve a route that reads JSON and returns a constant, with codeserve's HTTP server."""
    app = FastAPI()

    @app.post("/bare")
    async def constant(body: dict[str, Any]) -> dict[str, str]:
        return {"text": "constant"}

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_until_ready(url: str) -> None:
    """Return when ``url`` answers with success."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the server was not ready within {START_SECONDS} s")


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of ``process`` so far."""
    times = process.cpu_times()
    return times.user + times.system


async def ask(
    url: str, clients: int, seconds: float, pause: float
) -> tuple[Counter[int], list[float]]:
    """Have ``clients`` ask for so many ``seconds``; the statuses, and how long refusals took."""
    statuses: Counter[int] = Counter()
    refusals: list[float] = []

    async def one(client: httpx.AsyncClient, delay: float) -> None:
        await asyncio.sleep(delay)
        while time.monotonic() < end:
            started = time.perf_counter()
            response = await client.post(f"{url}/v1/completions", json=completion("fake"))
            statuses[response.status_code] += 1
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                refusals.append(time.perf_counter() - started)
                await asyncio.sleep(pause)

    async with AsyncExitStack() as stack:
        # A client each: a pool that they share takes longer, the more connections it has.
        trust = ssl.create_default_context()
        own = [httpx.AsyncClient(timeout=None, verify=trust) for _ in range(clients)]
        for client in own:
            await stack.enter_async_context(client)
        gc.freeze()  # Walking the clients would hold refusals up on this side.
        end = time.monotonic() + seconds
        await asyncio.gather(*(one(client, pause * n / clients) for n, client in enumerate(own)))
    return statuses, refusals


if __name__ == "__main__":
    main()
