"""``list``, ``ps``, ``terminate``, ``restart``, ``pin`` and ``unload``."""

import json
import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from tests.app.conftest import RunningServer
from tests.eventually import eventually

Command = Callable[..., Result]

GAP = re.compile(" {2,}")
"""Between columns; a cell such as ``93.7 MB`` has single spaces."""


def launch(command: Command, model_uid: str, *arguments: str) -> None:
    fake = ("--model-path", "/dev/null", "--model-engine", "fake", "--model-uid", model_uid)
    result = command("launch", *fake, *arguments)
    assert result.exit_code == 0, result.stderr


def row_of(command: Command, name: str, model_uid: str) -> dict[str, str] | None:
    """The line of a table that is about one model, by column."""
    head, *lines = command(name).stdout.splitlines()
    for line in lines:
        if line.split()[0] == model_uid:
            return dict(zip(head.split(), GAP.split(line.strip()), strict=True))
    return None


def test_models_are_listed_in_xinferences_columns(command: Command) -> None:
    path = "/weights/mine.gguf"
    assert command("launch", "--model-path", path, "--load", "on_demand").exit_code == 0
    assert row_of(command, "list", "mine") == {
        "uid": "mine",
        "type": "LLM",
        "name": "-",
        "format": "ggufv2",
        "size": "-",
        "quantization": "-",
        "state": "unloaded",
    }
    listed = {model["id"]: model for model in json.loads(command("list", "--json").stdout)}
    assert listed["mine"]["model_format"] == "ggufv2"
    assert command("terminate", "-u", "mine").exit_code == 0


def test_a_model_of_the_catalogue_is_listed_with_its_spec(command: Command) -> None:
    line = "-n deepseek-coder -s 6_7 -f ggufv2 -q Q4_K_M -en llama.cpp --load on_demand"
    assert command("launch", *line.split()).exit_code == 0
    row = row_of(command, "list", "deepseek-coder")
    assert row is not None
    assert list(row.values())[2:] == ["deepseek-coder", "ggufv2", "6_7", "Q4_K_M", "unloaded"]
    assert command("terminate", "-u", "deepseek-coder").exit_code == 0


async def test_what_is_loaded_is_shown_with_what_it_does(command: Command) -> None:
    row = row_of(command, "ps", "fast")
    assert row is not None
    shown = {name: row[name] for name in ("state", "phase", "running", "waiting", "replicas")}
    assert shown == {
        "state": "ready",
        "phase": "-",
        "running": "0",
        "waiting": "0",
        "replicas": "1/1",
    }
    assert command("chat", "--model", "fast", "hi").exit_code == 0
    await eventually(lambda: " 0:00:" in command("ps").stdout)
    loaded = json.loads(command("ps", "--json").stdout)
    assert [model["id"] for model in loaded] == ["fast"]


async def test_a_model_that_loads_is_shown_with_its_phase(command: Command) -> None:
    launch(command, "slow", "--load_seconds", "60", "--no-wait")
    await eventually(lambda: "weights 0%" in command("ps").stdout)
    assert command("terminate", "-u", "slow").exit_code == 0
    assert row_of(command, "list", "slow") is None


def test_a_pinned_model_is_not_unloaded_until_it_is_unpinned(command: Command) -> None:
    launch(command, "mine")
    assert command("pin", "-u", "mine").stdout == "mine is pinned\n"
    row = row_of(command, "ps", "mine")
    assert row is not None
    assert row["pinned"] == "yes"
    refused = command("unload", "-u", "mine")
    assert refused.exit_code == 2
    assert "pinned" in refused.stderr
    assert json.loads(command("pin", "--off", "-u", "mine", "--json").stdout)["pinned"] is False
    assert command("unload", "-u", "mine").stdout == "mine is unloaded\n"
    assert row_of(command, "ps", "mine") is None
    assert command("chat", "--model", "mine", "hi").exit_code == 0
    assert json.loads(command("unload", "-u", "mine", "--json").stdout)["state"] == "unloaded"
    assert command("terminate", "-u", "mine").exit_code == 0


def test_a_model_is_restarted_and_followed_until_it_is_ready(command: Command) -> None:
    launch(command, "mine")
    result = command("restart", "-u", "mine")
    assert (result.exit_code, result.stdout) == (0, "mine is ready\n")
    assert "mine: loading" in result.stderr.splitlines()
    first, *_, last = map(
        json.loads, command("restart", "-u", "mine", "--json").stdout.splitlines()
    )
    assert (first["event"], last["event"]) == ("restarted", "succeeded")
    assert command("restart", "-u", "mine", "--no-wait").stdout == "mine is being restarted\n"
    assert json.loads(command("terminate", "-u", "mine", "--json").stdout) == {
        "model_uid": "mine",
        "state": "stopped",
    }


@pytest.mark.parametrize("name", ["terminate", "restart", "pin", "unload", "logs"])
def test_a_model_that_there_is_not_is_a_usage_error_that_names_near_ones(
    command: Command, name: str
) -> None:
    result = command(name, "--model-uid", "fats")
    assert result.exit_code == 2
    assert result.stderr.startswith("codeserve: The model 'fats' does not exist. Did you mean")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("ps",),
        ("terminate", "-u", "a"),
        ("restart", "-u", "a"),
        ("pin", "-u", "a"),
        ("unload", "-u", "a"),
        ("logs", "-u", "a"),
        ("logs", "-u", "a", "-f"),
        ("events",),
        ("engine", "-n", "a"),
        ("registrations",),
        ("unregister", "-n", "a"),
    ],
    ids=" ".join,
)
def test_an_unreachable_server_is_one_line(command: Command, arguments: tuple[str, ...]) -> None:
    result = command(*arguments, "--endpoint", "http://127.0.0.1:1")
    assert result.exit_code == 1
    expected = "no server answers at http://127.0.0.1:1; start one with: codeserve serve"
    assert result.stderr == f"codeserve: {expected}\n"


def test_the_address_may_come_from_the_environment(
    operated: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESERVE_URL", f"{operated.url}/v1")
    result = CliRunner().invoke(build_cli(), ["list"])
    assert result.exit_code == 0
    assert "fast" in result.stdout
