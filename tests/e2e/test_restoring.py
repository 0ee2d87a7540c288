"""A server that was killed and started again has its models back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import StartServer
from tests.e2e.server import Server
from tests.e2e.waiting import wait_until

CONFIGURED = """
[server]
state = "{state}"

[[models]]
id = "configured"
path = "/dev/null"
engine = "fake"
"""
FAKE = {"model_path": "/dev/null", "model_engine": "fake"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "models.json"


@pytest.fixture
def start(start_server: StartServer, state: Path) -> Callable[[], Server]:
    """Starts the server, always with the same config file."""
    return lambda: start_server(CONFIGURED.format(state=state))


def launch(server: Server, **request: Any) -> None:
    answer = httpx.post(f"{server.url}/v1/models", json=request, timeout=120)
    assert answer.status_code == 200, answer.text


def kill(server: Server) -> None:
    """End the server as a power cut would."""
    workers = server.workers()
    assert workers
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive, "no worker of the killed server is left"


def wait_for(server: Server, model_id: str, state: str) -> dict[str, Any]:
    wait_until(lambda: server.model(model_id).get("state") == state, f"{model_id} {state}")
    return server.model(model_id)


def answers(server: Server, model_id: str) -> bool:
    body = {"model": model_id, "prompt": "def f(", "max_tokens": 4}
    return httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).status_code == 200


def remembered(state: Path) -> list[str]:
    return [entry["id"] for entry in json.loads(state.read_text())["models"]]


def test_a_killed_server_comes_back_with_the_same_ids_and_arguments(
    start: Callable[[], Server], tiny_deepseek_gguf: Path, state: Path
) -> None:
    first = start()
    launch(
        first,
        model_uid="mine",
        model_path=str(tiny_deepseek_gguf),
        model_name="deepseek-coder",
        model_engine="llama.cpp",
        context_length=256,
        max_concurrency=2,
        tune=False,
        n_batch=64,
    )
    before = first.model("mine")
    assert remembered(state) == ["mine"]
    kill(first)

    second = start()
    after = wait_for(second, "mine", "ready")

    assert after["spec"] == before["spec"]
    assert after["context_length"] == 256
    assert answers(second, "mine")
    assert answers(second, "configured")
    events = httpx.get(f"{second.url}/v1/events", timeout=60).json()["data"]
    assert [event["model"] for event in events if event["kind"] == "restored"] == ["mine"]


def test_a_terminated_model_does_not_come_back(start: Callable[[], Server], state: Path) -> None:
    first = start()
    launch(first, model_uid="stays", **FAKE)
    launch(first, model_uid="goes", **FAKE)
    httpx.delete(f"{first.url}/v1/models/goes", timeout=60).raise_for_status()
    kill(first)

    second = start()
    wait_for(second, "stays", "ready")

    assert second.model("goes")["error"]["code"] == "model_not_found"
    assert remembered(state) == ["stays"]


def test_a_server_that_was_told_to_stop_has_its_models_back_as_well(
    start: Callable[[], Server], state: Path
) -> None:
    first = start()
    launch(first, model_uid="mine", **FAKE)
    first.end()

    wait_for(start(), "mine", "ready")


def test_what_cannot_be_launched_any_more_is_kept_and_holds_nobody_up(
    start: Callable[[], Server], tiny_deepseek_gguf: Path, state: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.gguf"
    weights.symlink_to(tiny_deepseek_gguf)
    first = start()
    options = {"model_engine": "llama.cpp", "context_length": 256, "tune": False}
    launch(first, model_uid="gone", model_path=str(weights), **options)
    launch(first, model_uid="here", **FAKE)
    kill(first)
    weights.unlink()
    content = json.loads(state.read_text())
    content["models"][:0] = [
        {"id": "unknown", "model_name": "deepseek-codr"},
        {"id": "old", "path": "/dev/null", "turbo": True},
    ]
    state.write_text(json.dumps(content))

    second = start()
    wait_for(second, "here", "ready")

    assert answers(second, "here")
    assert answers(second, "configured")
    assert str(weights) in wait_for(second, "gone", "failed")["error"]
    log = second.log.read_text()
    assert "unknown: it was launched before the server ended, but cannot be launched again" in log
    assert "Did you mean deepseek-coder" in log
    assert "old: it was launched before the server ended" in log
    assert "unknown key 'turbo'" in log
    launch(second, model_uid="another", **FAKE)
    assert sorted(remembered(state)) == ["another", "gone", "here", "old", "unknown"]


def test_an_id_of_the_config_file_is_launched_as_the_config_file_says(
    start: Callable[[], Server], state: Path
) -> None:
    state.parent.mkdir()
    entry = {"id": "configured", "path": "/dev/null", "engine": "fake", "context_length": 64}
    state.write_text(json.dumps({"version": 1, "models": [entry]}))
    server = start()
    assert server.model("configured")["context_length"] != 64
    assert "configured: launched as the configuration says" in server.log.read_text()


def test_a_model_that_crashes_while_it_loads_backs_off_and_the_others_answer(
    start: Callable[[], Server], state: Path
) -> None:
    state.parent.mkdir()
    entry = {"id": "crashing", "path": "/dev/null", "engine": "fake"}
    entries = [{**entry, "options": {"crash_load": True}}, {**entry, "id": "sound"}]
    state.write_text(json.dumps({"version": 1, "models": entries}))
    server = start()
    crashed = {"restarting", "failed"}
    wait_until(lambda: server.model("crashing").get("state") in crashed, "the first crash")

    assert answers(server, "configured")
    wait_for(server, "sound", "ready")
    assert answers(server, "sound")
    failed = wait_for(server, "crashing", "failed")
    assert "No worker survives loading the model" in failed["error"]
    assert answers(server, "sound")
    assert remembered(state) == ["crashing", "sound"]


def test_a_model_that_crashes_at_every_request_comes_back_each_time(
    start: Callable[[], Server],
) -> None:
    first = start()
    launch(first, model_uid="fragile", crash_after=0, **FAKE)
    kill(first)

    second = start()
    for crashes in range(1, 3):
        wait_for(second, "fragile", "ready")
        assert not answers(second, "fragile")
        assert answers(second, "configured")
        wait_until(lambda n=crashes: second.model("fragile")["restarts"] >= n, "a restart")  # type: ignore[misc]
