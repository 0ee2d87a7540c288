"""The example of the page is what the command prints."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.models.variations import quantise

PAGE = (Path(__file__).parents[2] / "docs" / "parity.md").read_text()


def block(language: str, start: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = (one for one in blocks if one.startswith(start))
    return found


def words(output: str) -> list[list[str]]:
    """The lines with anything on them, without what rounding or a release may change."""
    output = output.replace(version("llama-cpp-python"), "VERSION")
    output = re.sub(r"llama\.cpp \d+\.\d+\.\d+", "llama.cpp VERSION", output)
    output = re.sub(r"-?\d+\.\d+(e-\d+)?|\d+e-\d+|(?<=margin )\d+", "NUMBER", output)
    return [line.split() for line in output.splitlines() if line.strip(" ─")]


def test_the_example_prints_what_the_page_says(tmp_path: Path, tiny_deepseek_gguf: Path) -> None:
    shutil.copy(tiny_deepseek_gguf, tmp_path / "coder.gguf")
    quantise(tiny_deepseek_gguf, tmp_path / "coder-q4_0.gguf", "Q4_0")
    (tmp_path / "parity.toml").write_text(block("toml", "[[models]]"))
    (tmp_path / "prompts.jsonl").write_text(block("json", '{"prompt"'))
    prompt, _, expected = block("console", "$ ").partition("\n")
    command, *arguments = shlex.split(prompt.removeprefix("$ "))

    done = subprocess.run(
        [Path(sys.executable).with_name(command), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "80"},
    )

    assert done.returncode == 0, done.stderr
    assert words(done.stdout) == words(expected)
