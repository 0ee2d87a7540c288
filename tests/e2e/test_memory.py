"""Models that do not fit together, in bytes, with real workers of the real llama.cpp."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

MOST = 180_000_000
"""Enough for one of the models, which need some 143 MB by their plan and 95 MB as measured."""

CONFIG = """
[server]
max_memory = {most}

[[models]]
id = "first"
path = "{path}"
context_length = 512
max_concurrency = 2
load = "on_demand"
options = {{ tune = false, cache_host_mib = 0 }}

[[models]]
id = "second"
path = "{path}"
context_length = 512
max_concurrency = 2
load = "on_demand"
idle_timeout = 1.0
options = {{ tune = false, cache_host_mib = 0 }}
"""


@pytest.fixture
def server(start_server: StartServer, tiny_deepseek_gguf: Path) -> Server:
    return start_server(CONFIG.format(most=MOST, path=tiny_deepseek_gguf))


def ask(server: Server, model_id: str) -> None:
    answer = server.client.completions.create(model=model_id, prompt="def f(", max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_the_idle_model_gives_its_bytes_to_the_one_that_is_asked_for(server: Server) -> None:
    assert server.workers() == []
    ask(server, "first")
    [worker] = server.workers()
    ask(server, "second")
    assert not worker.is_running(), "an unloaded model's memory is back, as its process is gone"
    assert server.model("first")["state"] == "unloaded"
    wait_until(lambda: server.model("second")["memory_bytes"] is not None, "memory is measured")
    assert 0 < server.model("second")["memory_bytes"] <= MOST


def test_an_idle_model_is_unloaded_and_the_next_request_loads_it_again(server: Server) -> None:
    ask(server, "second")
    wait_until(lambda: server.model("second")["state"] == "unloaded", "second is unloaded")
    assert server.workers() == []
    ask(server, "second")


def test_what_never_fits_is_refused_with_the_numbers_and_nothing_is_registered(
    server: Server, tiny_deepseek_gguf: Path
) -> None:
    launch = {
        "model_path": str(tiny_deepseek_gguf),
        "model_uid": "large",
        "max_concurrency": 512,
        "context_length": 16384,
    }
    refused = httpx.post(f"{server.url}/v1/models", json=launch, timeout=60)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == "insufficient_memory"
    assert "but there is 0.18 GB of main memory" in error["message"]
    models = httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]
    assert [model["id"] for model in models] == ["first", "second"]
