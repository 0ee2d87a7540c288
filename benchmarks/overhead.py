"""CPU time that a token costs outside the model's computation.

    .venv/bin/python benchmarks/overhead.py --streams 16 --tokens 200

Starts ``codeserve serve`` with the fake engine, which computes nothing, lets a number of streams
run at once, and divides the CPU time of the API process and of the worker by the tokens of all
streams. The client's own time is not counted. ``--step-seconds`` is how long a step of the fake
engine sleeps: at 0.03 the streams step as those of a real model do; at 0 steps come faster than
they can be sent, so waiting text is merged and a token costs less.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

CONFIG = """
[[models]]
id = "fake"
path = "{weights}"
engine = "fake"
max_concurrency = {streams}
options = {{ step_seconds = {step_seconds} }}
"""
START_SECONDS = 60


def main() -> None:
    """Measure rounds and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=16, help="streams at once")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each stream")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; their medians are printed")
    parser.add_argument("--step-seconds", type=float, default=0.03, help="duration of a step")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "fake.toml")
        config.write_text(
            CONFIG.format(
                weights=folder, streams=given.streams, step_seconds=float(given.step_seconds)
            )
        )
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
            processes = {"API process": api, "worker": api.children()[0]}
            rounds = [
                asyncio.run(measure(url, processes, given.streams, given.tokens))
                for _ in range(given.rounds + 1)
            ][1:]  # The first one warms up.
        finally:
            server.terminate()
            server.wait()
    for name in processes:
        print(f"{name}: {statistics.median(r[name] for r in rounds):.0f} us of CPU a token")
    together = statistics.median(sum(costs.values()) for costs in rounds)
    print(f"together: {together:.0f} us, {given.streams} streams, {given.rounds} rounds")


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


async def measure(
    url: str, processes: dict[str, psutil.Process], streams: int, tokens: int
) -> dict[str, float]:
    """Microseconds of CPU time per token and process, in one round."""
    before = {name: cpu_seconds(process) for name, process in processes.items()}
    async with httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None)) as client:
        await asyncio.gather(*(read_stream(client, url, tokens) for _ in range(streams)))
    return {
        name: (cpu_seconds(process) - before[name]) * 1e6 / (streams * tokens)
        for name, process in processes.items()
    }


async def read_stream(client: httpx.AsyncClient, url: str, tokens: int) -> None:
    """Have one stream generated and read it to its end."""
    body = {"model": "fake", "prompt": "def f(", "max_tokens": tokens, "stream": True}
    async with client.stream("POST", f"{url}/v1/completions", json=body) as response:
        response.raise_for_status()
        async for _ in response.aiter_raw():
            pass


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of ``process`` so far."""
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
