import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

SLOW = """
[[models]]
id = "slow"
path = "/dev/null"
engine = "fake"
options = { step_seconds = 0.02, load_seconds = %s }
"""

REQUEST = {"model": "slow", "prompt": "a", "max_tokens": 100, "stream": True}


def workers_of(running: Any) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def wait_until_draining(url: str) -> None:
    while httpx.get(f"{url}/readyz", timeout=60).status_code != 503:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_stream_finish(serve: Callable[..., Any], number: int) -> None:
    running = serve(SLOW % 0)
    url = running.url()
    workers = workers_of(running)
    assert workers
    with httpx.stream("POST", f"{url}/v1/completions", json=REQUEST, timeout=30) as response:
        lines = response.iter_lines()
        first = next(lines)
        running.process.send_signal(number)
        events = [first, *filter(None, lines)]
    assert json.loads(events[-2][6:])["choices"][0]["finish_reason"] == "length"
    assert events[-1] == "data: [DONE]"
    assert running.exit_code() == 0
    assert not any(worker.is_running() for worker in workers)


def test_a_second_signal_ends_the_server_at_once(serve: Callable[..., Any]) -> None:
    running = serve(SLOW % 0)
    endless = {**REQUEST, "max_tokens": 4000}
    url = running.url()
    workers = workers_of(running)
    with httpx.stream("POST", f"{url}/v1/completions", json=endless, timeout=30) as response:
        lines = response.iter_lines()
        next(lines)
        running.process.terminate()
        wait_until_draining(url)
        running.process.terminate()
        *_, error, done = filter(None, lines)
    assert json.loads(error[6:])["error"]["code"] == "server_draining"
    assert done == "data: [DONE]"
    assert running.exit_code() == 0
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_a_signal_while_loading_ends_the_server(serve: Callable[..., Any]) -> None:
    running = serve(SLOW % 60)
    while "weights" not in running.err:
        assert running.process.poll() is None, running.err
        time.sleep(0.02)
    workers = workers_of(running)
    running.process.terminate()
    assert running.exit_code() == 0
    assert not any(worker.is_running() for worker in workers)


def test_the_port_answers_while_models_load(serve: Callable[..., Any]) -> None:
    running = serve(SLOW % 60)
    address = None
    while address is None:
        assert running.process.poll() is None, running.err
        listening = psutil.Process(running.process.pid).net_connections("tcp")
        address = next((item.laddr for item in listening if item.status == "LISTEN"), None)
        time.sleep(0.02)
    response = httpx.get(f"http://{address.ip}:{address.port}/health", timeout=30)
    assert response.status_code == 503
    assert response.json()["models"][0]["id"] == "slow"


def test_no_worker_outlives_a_killed_server(serve: Callable[..., Any]) -> None:
    running = serve(SLOW % 0)
    running.url()
    workers = workers_of(running)
    os.kill(running.process.pid, signal.SIGKILL)
    running.exit_code()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert gone
    assert not alive
