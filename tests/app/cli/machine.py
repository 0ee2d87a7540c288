"""A machine of a test's own: the real command, with data folders and a hub that are its own."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from codeserve.app.cli.main import build_cli
from tests.app.cli.conftest import COMMAND
from tests.model_specs.hub.local_hub import COMMIT, LocalHub, serving

FAMILY = f"""
model_name = "mine"
description = "A family of the user's own."
languages = ["en"]
abilities = ["generate"]

[[variants]]
name = "only"
vocabulary = "deepseek-coder"
context_length = 512
eos = "<｜end▁of▁sentence｜>"
stop_tokens = ["<｜end▁of▁sentence｜>"]

[[specs]]
size_in_billions = "1"
model_format = "ggufv2"
variant = "only"
quantizations = ["Q8_0", "Q4_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]

[[specs.sources]]
hub = "huggingface"
model_id = "me/mine"
revision = "{COMMIT}"
file = "mine.{{quantization}}.gguf"

[[specs.sources]]
hub = "modelscope"
model_id = "me/mine-too"
file = "mine.{{quantization}}.gguf"

[[specs]]
size_in_billions = "1"
model_format = "pytorch"
variant = "only"
quantizations = ["none", "8-bit"]
default_quantization = "none"
engines = ["transformers"]
sources = [{{ hub = "huggingface", model_id = "me/folder" }}]
"""
"""A family whose weights the tests' hub may hold."""


class Machine:
    """A machine with a family of the user's own in its catalogue."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.real = False
        """Whether each command gets a process of its own."""
        self.families = folder / "data" / "codeserve" / "families"
        self.environment = {
            **{name: one for name, one in os.environ.items() if not name.startswith("HF_")},
            "HF_HUB_OFFLINE": "0",
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HF_HOME": str(folder / "huggingface"),
            "HF_ENDPOINT": url,
            "HF_HUB_DISABLE_XET": "1",
            "MODELSCOPE_ENDPOINT": url,
            "MODELSCOPE_CACHE": str(folder / "modelscope"),
            "MODELSCOPE_HOME": str(folder / "modelscope-home"),
            "COLUMNS": "400",
        }

    @property
    def store(self) -> Path:
        return self.folder / "data" / "codeserve" / "models"

    def learn(self, family: str = FAMILY) -> None:
        """Put a family into the catalogue."""
        self.families.mkdir(parents=True)
        (self.families / "mine.toml").write_text(family)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, still running."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Output and errors of the command, which ends with ``code``."""
        if not self.real:
            result = CliRunner(env=self.environment).invoke(build_cli(), arguments)
            assert result.exit_code == code, result.output
            return result.stdout, result.stderr
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, out + err
        return out, err

    def events(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """What the command tells programs."""
        out, _ = self.run(*arguments, code=code)
        return [json.loads(line) for line in out.splitlines()]

    def last(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The last thing that the command tells programs."""
        return self.events(*arguments, code=code)[-1]

    def refusal(self, *arguments: str, code: int) -> str:
        """The one line that says why the command ended with ``code``."""
        _, err = self.run(*arguments, code=code)
        [line] = err.splitlines()
        return line

    def on_terminal(self, *arguments: str) -> str:
        """What a person sees of the command."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**self.environment, "TERM": "xterm"},
            cwd=self.folder,
        )
        os.close(theirs)
        seen = b""
        while block := _read(ours):
            seen += block
        os.close(ours)
        assert process.wait(60) == 0, seen
        return seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 2**16)
    except OSError:  # Linux says so when the other side is closed.
        return b""


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def machine(tmp_path: Path, hub: LocalHub) -> Machine:
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine", hub.url)
    machine.learn()
    return machine


@pytest.fixture
def real_machine(machine: Machine) -> Machine:
    """The same, where each command gets a process of its own."""
    machine.real = True
    return machine


@pytest.fixture
def other_machine(tmp_path: Path) -> Machine:
    """One that reaches no hub."""
    (tmp_path / "other").mkdir()
    other = Machine(tmp_path / "other", "http://127.0.0.1:9")
    other.environment["CODESERVE_OFFLINE"] = "1"
    return other
