import sys
import venv
from pathlib import Path

import pytest

from codeserve.app.environments.interpreter import check, look_at
from codeserve.engines.errors import ModelLoadError


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_interpreter_with_the_engines_packages_is_taken_with_its_version() -> None:
    found = check(Path(sys.executable), "llama.cpp")
    assert found.python == sys.version_info[:3]
    assert "llama-cpp-python" in found.versions


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo no such library >&2; exit 3", "no such library"),
        ("exit 3", "exit status 3"),
        ("echo '{\"python\": [3, 9, 1]}'", r"is Python 3\.9\.1; codeserve needs 3\.11 or newer"),
    ],
)
def test_what_cannot_run_a_worker_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        check(script(tmp_path, text), "vllm")


def test_a_path_without_an_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no Python interpreter at"):
        look_at(tmp_path / "python")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelLoadError, match="Permission denied"):
        look_at(tmp_path / "file")


def test_missing_packages_come_with_the_command_that_installs_them(tmp_path: Path) -> None:
    venv.create(tmp_path / "own")
    python = tmp_path / "own" / "bin" / "python"
    with pytest.raises(ModelLoadError, match=rf"{python} -m pip install vllm tokenizers msgspec"):
        check(python, "vllm")
    with pytest.raises(ModelLoadError, match=r"-m pip install msgspec$"):
        check(python, "an engine of another package")
