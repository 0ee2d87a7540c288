"""How fast a request that is one too many is refused.

    .venv/bin/python benchmarks/overload.py --times 10

Starts ``codeserve serve`` with the fake engine, which serves slowly, and keeps so many clients
asking that there are ``--times`` as many as the model takes; who is refused asks again after
``--pause`` seconds, and keeps the connection. Prints how long refusals took, from the first byte
sent to the last byte read, as this one client process sees it, and the memory and the CPU time of
the API process.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil

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
"""
BODY = {"model": "fake", "prompt": "def f(", "max_tokens": 20}
START_SECONDS = 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=10, help="clients for each one that is taken")
    parser.add_argument("--seconds", type=float, default=20, help="how long they ask")
    parser.add_argument("--pause", type=float, default=5, help="seconds after which they ask again")
    given = parser.parse_args()
    clients = given.times * (RUNNING + WAITING)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "fake.toml")
        config.write_text(CONFIG.format(weights=folder, running=RUNNING, waiting=WAITING))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
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
            wait_until_ready(url)
            api = psutil.Process(server.pid)
            asyncio.run(ask(url, clients, 2, given.pause))  # Warms up.
            before, cpu_before = api.memory_info().rss, cpu_seconds(api)
            statuses, refusals = asyncio.run(ask(url, clients, given.seconds, given.pause))
            after, cpu = api.memory_info().rss, cpu_seconds(api) - cpu_before
        finally:
            server.terminate()
            server.wait()
    cuts = statistics.quantiles(refusals, n=100)
    print(f"{clients} clients, {RUNNING} running, {WAITING} waiting: {dict(statuses)}")
    print(f"429: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms")
    print(f"API process: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    print(f"{cpu / statuses.total() * 1000:.1f} ms of its CPU time a request, served or refused")


def wait_until_ready(url: str) -> None:
    """Return when the model of the server at ``url`` serves."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
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
    end = time.monotonic() + seconds

    async def one(client: httpx.AsyncClient, delay: float) -> None:
        await asyncio.sleep(delay)
        while time.monotonic() < end:
            started = time.perf_counter()
            response = await client.post(f"{url}/v1/completions", json=BODY)
            statuses[response.status_code] += 1
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                refusals.append(time.perf_counter() - started)
                await asyncio.sleep(pause)

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=None, limits=limits) as client:
        await asyncio.gather(*(one(client, pause * n / clients) for n in range(clients)))
    return statuses, refusals


if __name__ == "__main__":
    main()
