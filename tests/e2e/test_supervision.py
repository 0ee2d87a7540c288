import json
import os
import signal

import httpx
import psutil
import pytest
from openai import APIError

from tests.e2e.conftest import EMBEDDED, StartServer
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

MODEL = "smollm2-135m-instruct"
LONG_STREAM = {
    "model": MODEL,
    "prompt": "Once upon a time",
    "max_tokens": 1500,
    "stream": True,
    "logit_bias": {"0": -100, "2": -100},
}


def test_a_worker_killed_in_mid_stream_costs_a_typed_error_and_comes_back(
    start_server: StartServer,
) -> None:
    server = start_server(EMBEDDED)
    [worker] = server.workers()
    lines: list[str] = []
    url = f"{server.url}/v1/completions"
    with httpx.stream("POST", url, json=LONG_STREAM, timeout=60) as answer:
        for line in answer.iter_lines():
            if not lines:
                worker.kill()
            lines += [line] if line else []

    error = json.loads(lines[-2].removeprefix("data: "))["error"]
    assert error["code"] == "engine_restarted"
    assert lines[-1] == "data: [DONE]"
    wait_until(lambda: server.model(MODEL)["state"] == "ready", "the restart")
    shown = server.model(MODEL)
    assert shown["restarts"] == 1
    assert "SIGKILL" in shown["error"]
    again = server.client.completions.create(model=MODEL, prompt="One, two,", max_tokens=4)
    assert again.usage is not None
    assert again.usage.completion_tokens > 0


def test_the_openai_client_raises_when_the_worker_dies(start_server: StartServer) -> None:
    server = start_server(EMBEDDED)
    stream = server.client.completions.create(
        model=MODEL, prompt="Once upon a time", max_tokens=1500, stream=True
    )
    next(iter(stream))
    for worker in server.workers():
        worker.kill()

    with pytest.raises(APIError, match="worker"):
        list(stream)


def test_a_stopped_worker_is_noticed_and_replaced(start_server: StartServer) -> None:
    server = start_server("[server]\nheartbeat_timeout = 3\n" + EMBEDDED)
    [worker] = server.workers()
    os.kill(worker.pid, signal.SIGSTOP)

    wait_until(lambda: not worker.is_running(), "the end of the stopped worker")
    wait_until(lambda: server.model(MODEL)["state"] == "ready", "the restart")
    assert server.model(MODEL)["restarts"] == 1


def test_no_worker_outlives_a_server_killed_by_sigkill(start_server: StartServer) -> None:
    server = start_server(EMBEDDED)
    workers = server.workers()
    assert workers

    server.process.kill()

    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def test_sigterm_finishes_running_streams_and_exits_with_0(start_server: StartServer) -> None:
    server = start_server(EMBEDDED)
    body = LONG_STREAM | {"max_tokens": 60}
    lines: list[str] = []
    url = f"{server.url}/v1/completions"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        for line in answer.iter_lines():
            if not lines:
                server.process.send_signal(signal.SIGTERM)
            lines += [line] if line else []

    finish = json.loads(lines[-2].removeprefix("data: "))["choices"][0]
    assert finish["finish_reason"] == "length"
    assert lines[-1] == "data: [DONE]"
    assert server.process.wait(30) == 0


def test_two_hundred_cancelled_requests_leave_every_slot_free(server: Server) -> None:
    url = f"{server.url}/v1/completions"
    with httpx.Client(timeout=60) as client:
        for number in range(200):
            body = LONG_STREAM | {"stream": number % 2 == 0, "prompt": f"Story {number}:"}
            if body["stream"]:
                with client.stream("POST", url, json=body) as answer:
                    next(answer.iter_lines())
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(url, json=body, timeout=0.02)

    def is_idle() -> bool:
        shown = server.model(MODEL)
        return bool(shown["running"] == 0 and shown["waiting"] == 0)

    wait_until(is_idle, "the end of the cancelled requests")
    again = server.client.completions.create(model=MODEL, prompt="Hello", max_tokens=4)
    assert again.usage is not None
    assert again.usage.completion_tokens > 0
