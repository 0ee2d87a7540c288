import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import Result

from tests.app.cli.conftest import COMMAND
from tests.app.conftest import RunningServer

Command = Callable[..., Result]

FAKE = ("launch", "--model-path", "/dev/null", "--model-engine", "fake")


@pytest.fixture(autouse=True)
def nothing_left(operated: RunningServer) -> Iterator[None]:
    """The next test finds the server as this one did."""
    yield
    with operated.client() as client:
        for model in client.get("/v1/models").json()["data"]:
            if model["id"] != "fast":
                client.delete(f"/v1/models/{model['id']}")


def states(server: RunningServer) -> dict[str, str]:
    with server.client() as client:
        return {model["id"]: model["state"] for model in client.get("/v1/models").json()["data"]}


def test_a_launch_ends_with_a_first_request_to_try(
    command: Command, operated: RunningServer
) -> None:
    result = command(*FAKE, "--model-uid", "mine", "--script", "abc")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"mine is ready on {operated.url} and runs on fake: ")
    assert f"curl -N {operated.url}/v1/chat/completions \\" in result.stdout
    assert 'model="mine"' in result.stdout
    assert "mine: loading" in result.stderr.splitlines()
    assert command("chat", "--model", "mine", "hi").output.startswith("abcabc")


def test_a_program_gets_an_event_a_line(command: Command) -> None:
    result = command(*FAKE, "-u", "mine", "--json")
    launched, *moments, last = map(json.loads, result.stdout.splitlines())
    assert (launched["event"], launched["model_uid"]) == ("launched", "mine")
    assert {moment["event"] for moment in moments} == {"progress"}
    assert {moment["job"]["id"] for moment in moments} == {launched["job"]["id"]}
    assert "loading" in [moment["job"]["phase"] for moment in moments]
    assert (last["event"], last["job"]["state"]) == ("succeeded", "succeeded")
    assert (last["model"]["id"], last["model"]["state"]) == ("mine", "ready")
    assert result.stderr == ""


def test_nobody_needs_to_wait(command: Command, operated: RunningServer) -> None:
    result = command(*FAKE, "-u", "slow", "--load_seconds", "60", "--no-wait")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "slow is being launched; see: codeserve ps\n"
    assert states(operated)["slow"] != "ready"


def test_a_launch_again_says_how_to_ask_what_is_there(command: Command) -> None:
    first, again = (command(*FAKE, "-u", "mine") for _ in range(2))
    assert again.exit_code == 0
    assert again.stdout == first.stdout


def test_a_model_on_demand_loads_with_its_first_request(
    command: Command, operated: RunningServer
) -> None:
    result = command(*FAKE, "-u", "lazy", "--load", "on_demand")
    assert result.stdout == f"lazy is on {operated.url} and loads with its first request.\n"
    assert states(operated)["lazy"] == "unloaded"


def test_a_failure_is_told_with_its_reason(command: Command) -> None:
    result = command(*FAKE, "-u", "broken", "--fail_load", "a tensor is missing")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "\ncodeserve: broken failed to load: a tensor is missing\n" in result.stderr


def test_a_failure_is_told_with_the_workers_last_lines(command: Command, tmp_path: Any) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF, or so it says")
    result = command("launch", "--model-path", str(path))
    assert result.exit_code == 1
    said = result.stderr.partition("codeserve: mine failed to load: ")[2].splitlines()
    assert len(said) > 1
    assert any("gguf" in line.lower() for line in said[1:])


def test_a_failure_is_an_event_with_its_reason(command: Command) -> None:
    result = command(*FAKE, "-u", "broken", "--fail_load", "a tensor is missing", "--json")
    assert result.exit_code == 1
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["event"], last["job"]["error"]) == ("failed", "a tensor is missing")
    assert last["model"]["state"] == "failed"


@contextmanager
def launching_slowly(operated: RunningServer) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own that waits for a model that loads slowly."""
    arguments = [*FAKE, "-u", "slow", "--load_seconds", "60", "--endpoint", operated.url]
    with subprocess.Popen([COMMAND, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line == "slow: weights, 0%\n" for line in process.stderr)
        yield process


def test_a_launch_that_somebody_else_ends_is_a_failure(
    command: Command, operated: RunningServer
) -> None:
    with launching_slowly(operated) as process:
        assert command("terminate", "-u", "slow").stdout == "slow is terminated\n"
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.endswith("codeserve: the launch of 'slow' was cancelled\n")


def test_ctrl_c_ends_the_command_and_not_the_launch(operated: RunningServer) -> None:
    with launching_slowly(operated) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        advice = process.stderr.readline()
        assert f"codeserve terminate --model-uid slow --endpoint {operated.url}" in advice
        assert "Ctrl-C again" in process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 130
    assert states(operated)["slow"] == "loading"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("-n deepseek-codr", "Did you mean deepseek-coder or deepseek-coder-instruct?"),
        ("-n deepseek-coder -s 13", "There are 1_3, 6_7, 7, 33."),
        ("-n deepseek-coder -s 1_3 -f gguf", "Did you mean ggufv2?"),
        ("-n deepseek-coder -s 1_3 -f ggufv2 -q Q4_K", "Did you mean Q4_K_"),
        ("-n deepseek-coder -s 1_3 -en vlm", "Did you mean 'vllm'? There are: llama.cpp,"),
        ("-n deepseek-coder -s 1_3 --hub github", "huggingface"),
        ("-n deepseek-coder -s 1_3 -t embedding", "'embedding'"),
    ],
)
def test_what_there_is_not_is_a_usage_error_that_says_what_there_is(
    command: Command, operated: RunningServer, arguments: str, reason: str
) -> None:
    before = states(operated)
    result = command("launch", *arguments.split())
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert states(operated) == before


def test_an_unreachable_server_is_one_line(command: Command) -> None:
    result = command("launch", "-n", "a", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("codeserve: no server answers at ")


def test_a_line_of_the_model_page_reaches_the_hub_that_has_the_weights(
    serve: Callable[..., Any],
) -> None:
    running = serve(
        '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n',
        CODESERVE_OFFLINE="true",
        HF_HUB_OFFLINE="1",
    )
    line = "launch --model-engine llama.cpp --model-name deepseek-coder --size-in-billions 1_3 "
    line += "--model-format ggufv2 --quantization Q4_K_M"
    command = [COMMAND, *line.split(), "--endpoint", running.url()]
    launch = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert launch.returncode == 1
    assert "codeserve: deepseek-coder failed to load: " in launch.stderr
    assert "TheBloke/deepseek-coder-1.3b-base-GGUF" in launch.stderr
