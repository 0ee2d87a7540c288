"""``codeserve follow`` tells the engine's interpreter what the server would tell a worker."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.app.cli.conftest import COMMAND

TWO_MACHINES = """
[[models]]
id = "coder"
path = "{folder}"
engine = "vllm"
engine_python = "{python}"
context_length = 512
options = {{ nnodes = 2, master_addr = "leader", seed = 1 }}
"""
BY_NAME = """
[[models]]
model_name = "deepseek-coder"
model_format = "pytorch"
"""


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """Prints its arguments, one a line, and then what it is told."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\ncat\n')
    script.chmod(0o755)
    return script


def follow(folder: Path, config: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "config.toml"
    file.write_text(config)
    return subprocess.run(
        [COMMAND, "follow", "--config", file, "--node-rank", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_engines_interpreter_gets_the_leaders_config(
    tmp_path: Path, interpreter: Path, tiny_deepseek_folder: Path
) -> None:
    config = TWO_MACHINES.format(folder=tiny_deepseek_folder, python=interpreter)
    done = follow(tmp_path, config)
    assert done.returncode == 0, done.stderr
    *_, start, verb, option, rank, told = done.stdout.splitlines()
    assert (Path(start).name, verb, option, rank) == ("start.py", "follow", "--node-rank", "1")
    said = json.loads(told)
    assert said["path"] == str(tiny_deepseek_folder)
    assert said["context_length"] == 512
    assert said["options"] == {"nnodes": 2, "master_addr": "leader", "seed": 1}


def test_what_cannot_follow_is_an_error_of_one_line(
    tmp_path: Path, interpreter: Path, tiny_deepseek_folder: Path
) -> None:
    config = TWO_MACHINES.format(folder=tiny_deepseek_folder, python=interpreter)
    unknown = follow(tmp_path, config, "--model", "other")
    assert unknown.returncode == 2
    assert unknown.stderr == "codeserve: --model must be one of coder\n"
    named = follow(tmp_path, BY_NAME)
    assert named.returncode == 2
    assert "needs a path, the same on all machines" in named.stderr
    absent = follow(tmp_path, config.replace(str(interpreter), "/nowhere/python"))
    assert absent.returncode == 1
    assert absent.stderr.startswith("codeserve: /nowhere/python does not run: ")
