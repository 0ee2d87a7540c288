import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psutil

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

STREAMS = 20
SLOW = """
[server]
drain_timeout = {drain_timeout}

[[models]]
id = "slow"
path = "/dev/null"
engine = "fake"
max_concurrency = 16
options = {{ step_seconds = 0.02 }}
"""
"""Sixteen of twenty requests run, four wait."""


def request(max_tokens: int, *, stream: bool = True) -> dict[str, Any]:
    return {"model": "slow", "prompt": "a", "max_tokens": max_tokens, "stream": stream}


@contextmanager
def live_streams(server: Server, max_tokens: int) -> Iterator[list[list[str]]]:
    """The events of streams that have begun; they are complete when the context ends."""
    begun = threading.Barrier(STREAMS + 1)
    streams: list[list[str]] = [[] for _ in range(STREAMS)]

    def read(events: list[str]) -> None:
        url = f"{server.url}/v1/completions"
        with httpx.stream("POST", url, json=request(max_tokens), timeout=60) as answer:
            begun.wait(60)
            events += [line for line in answer.iter_lines() if line and line[0] != ":"]

    with ThreadPoolExecutor(STREAMS) as readers:
        reading = [readers.submit(read, events) for events in streams]
        begun.wait(60)
        yield streams
        for one in reading:
            one.result()


def is_draining(server: Server) -> bool:
    return httpx.get(f"{server.url}/readyz", timeout=60).status_code == 503


def test_twenty_live_streams_finish_while_new_work_is_refused(start_server: StartServer) -> None:
    server = start_server(SLOW.format(drain_timeout=60))
    with live_streams(server, max_tokens=80) as streams:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(server), "the end of readiness")
        refused = httpx.post(f"{server.url}/v1/completions", json=request(1), timeout=60)
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
        assert httpx.get(f"{server.url}/readyz", timeout=60).json()["status"] == "draining"

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "server_draining"
    assert {"retry-after", "connection"} <= refused.headers.keys()
    for events in streams:
        finish = json.loads(events[-2].removeprefix("data: "))["choices"][0]["finish_reason"]
        assert (finish, events[-1]) == ("length", "data: [DONE]")
    assert server.process.wait(30) == 0


def test_streams_that_outlive_the_drain_end_with_an_error(start_server: StartServer) -> None:
    server = start_server(SLOW.format(drain_timeout=0.5))
    with live_streams(server, max_tokens=4000) as streams:
        server.process.send_signal(signal.SIGTERM)
    for events in streams:
        error = json.loads(events[-2].removeprefix("data: "))["error"]
        assert (error["code"], events[-1]) == ("server_draining", "data: [DONE]")
        assert "0.5 s" in error["message"]
    assert server.process.wait(30) == 0


def test_a_second_signal_ends_streams_at_once_and_a_worker_that_hangs(
    start_server: StartServer,
) -> None:
    server = start_server(SLOW.format(drain_timeout=300))
    workers = server.workers()
    with live_streams(server, max_tokens=4000) as streams:
        workers[0].suspend()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(server), "the end of readiness")
        server.process.send_signal(signal.SIGTERM)
    assert {events[-1] for events in streams} == {"data: [DONE]"}
    assert server.process.wait(30) == 0
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
