"""``engine``, ``registrations``, ``register`` and ``unregister``."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """The file of a family of one's own."""
    shipped = resources.files("codeserve.model_specs") / "families" / "smollm2-instruct.toml"
    path = tmp_path / "family.toml"
    text = shipped.read_text().replace('"smollm2-instruct"', '"house-coder"')
    template = resources.files("codeserve.model_specs") / "templates" / "smollm2.jinja"
    path.write_text(text.replace('"smollm2.jinja"', json.dumps(template.read_text())))
    return path


def test_a_family_is_registered_launched_by_name_and_unregistered(
    command: Command, family: Path
) -> None:
    assert command("register", "-f", str(family)).stdout == "house-coder is registered\n"
    listed = {line.split()[0]: line.split()[1] for line in registered(command)}
    assert (listed["house-coder"], listed["deepseek-coder"]) == ("no", "yes")
    assert command("launch", "-n", "house-coder", "--load", "on_demand").exit_code == 0
    assert "house-coder" in command("list").stdout
    assert command("terminate", "-u", "house-coder").exit_code == 0
    gone = command("unregister", "--model-name", "house-coder")
    assert gone.stdout == "house-coder is no longer registered\n"
    assert command("launch", "-n", "house-coder").exit_code == 2


def registered(command: Command) -> list[str]:
    return command("registrations").stdout.splitlines()[1:]


def test_registrations_are_json_if_asked_for(command: Command, family: Path) -> None:
    told = json.loads(command("register", "-f", str(family), "--json").stdout)
    assert told["model_name"] == "house-coder"
    listed = json.loads(command("registrations", "--json").stdout)
    assert {"model_name": "house-coder", "is_builtin": False} in listed
    gone = command("unregister", "-n", "house-coder", "--json")
    assert json.loads(gone.stdout) == {"model_name": "house-coder"}


def test_a_shipped_family_cannot_be_unregistered(command: Command) -> None:
    result = command("unregister", "-n", "deepseek-coder")
    assert result.exit_code == 2
    assert "deepseek-coder" in result.stderr


def test_a_file_that_is_no_family_is_a_usage_error(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "family.toml"
    missing = command("register", "--file", str(path))
    assert (missing.exit_code, missing.stderr) == (
        2,
        f"codeserve: {path}: No such file or directory\n",
    )
    path.write_bytes(b"\xff")
    assert command("register", "-f", str(path)).stderr.endswith(": not a text file in UTF-8\n")
    path.write_text('model_name = "house-coder"')
    incomplete = command("register", "-f", str(path))
    assert incomplete.exit_code == 2
    assert incomplete.stderr.count("\n") == 1


def test_engines_are_shown_with_what_they_load_and_why_others_do_not(command: Command) -> None:
    result = command("engine", "-n", "deepseek-coder", "-s", "1.3", "-f", "ggufv2")
    head, *lines = result.stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert head.split()[:4] == ["engine", "format", "size", "loads"]
    assert rows["llama.cpp"][1:4] == ["ggufv2", "1_3", "yes"]
    assert rows["vllm"][1:4] == ["ggufv2", "1_3", "no"]
    assert "The engine 'vllm' cannot load a GGUF file. Engines that can: llama.cpp." in lines[-1]


def test_engines_are_json_if_asked_for(command: Command) -> None:
    line = "-n deepseek-coder -en vLLM -s 33 -f pytorch -q 8-bit --json"
    (match,) = json.loads(command("engine", *line.split()).stdout)
    assert (match["engine"], match["loads"]) == ("vllm", False)
    assert "transformers" in match["reason"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("-n deepseek-codr", "Did you mean deepseek-coder"),
        ("-n deepseek-coder -en vlm", "no engine is called 'vlm'; there are vllm, "),
        ("-n deepseek-coder -q Q4", "no quantization is called 'Q4'; there are Q4_0, "),
        ("-n deepseek-coder -s 3", "no size in billions is called '3'; there are 33, "),
    ],
)
def test_what_there_is_not_is_a_usage_error_that_says_what_there_is_nearest_first(
    command: Command, arguments: str, reason: str
) -> None:
    result = command("engine", *arguments.split())
    assert result.exit_code == 2
    assert reason in result.stderr
