"""``logs`` and ``events``."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.app.cli.conftest import COMMAND
from tests.app.conftest import RunningServer

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def broken(operated: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose worker has written something: weights that are none."""
    path: Path = tmp_path_factory.mktemp("weights") / "broken.gguf"
    path.write_bytes(b"GGUF, or so it says")
    with operated.client() as client:
        client.post("/v1/models", json={"model_path": str(path)})
    return path.stem


def test_the_last_lines_of_a_models_workers_are_shown(command: Command, broken: str) -> None:
    lines = command("logs", "--model-uid", broken).stdout.splitlines()
    assert any("gguf" in line.lower() for line in lines)
    assert command("logs", "-u", broken, "--lines", "1").stdout.splitlines() == lines[-1:]


def test_a_program_gets_each_line_as_json(command: Command, broken: str) -> None:
    plain = command("logs", "-u", broken).stdout.splitlines()
    written = command("logs", "-u", broken, "--json").stdout.splitlines()
    assert [json.loads(line)["line"] for line in written] == plain


def test_events_tell_what_became_of_a_model(command: Command, broken: str) -> None:
    told = [line.split("  ") for line in command("events").stdout.splitlines()]
    kinds = [words[2:] for words in told if words[1] == "fast"]
    assert kinds[0][0] == "launched"
    assert kinds[-1][:2] == ["state", "ready"]
    last = command("events", "--lines", "1", "--json")
    assert json.loads(last.stdout)["model"] == broken
    assert json.loads(last.stdout)["state"] == "failed"


def following(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, text=True)


def test_events_are_followed_until_ctrl_c(command: Command, operated: RunningServer) -> None:
    command("pin", "-u", "fast")
    with following("events", "-f", "--json", "--lines", "1", "-e", operated.url) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["kind"] == "pinned"
        command("pin", "--off", "-u", "fast")
        assert json.loads(process.stdout.readline())["kind"] == "unpinned"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0


def test_logs_are_followed_until_ctrl_c(operated: RunningServer, broken: str) -> None:
    with following("logs", "-f", "-u", broken, "--lines", "1", "-e", operated.url) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0
