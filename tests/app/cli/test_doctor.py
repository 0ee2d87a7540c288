import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from codeserve.engines.llama_cpp import remembered
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuning import Tuning


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CODESERVE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("CODESERVE_OFFLINE", "1")
    return tmp_path / "codeserve"


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(build_cli(), ["doctor", *arguments], env={"COLUMNS": "200"})


def test_a_sound_installation_gets_a_clean_bill() -> None:
    result = doctor()
    assert result.exit_code == 0
    assert version("codeserve") in result.output
    assert version("llama-cpp-python") in result.output
    for part in ("Installation", "Machine", "Engines", "llama.cpp", "Verdict"):
        assert f"\n{part}\n" in result.output


def test_everything_is_json_if_asked_for() -> None:
    result = doctor("--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["memory_bytes"] > 100 * 1024**2
    assert report["llama_cpp"]["version"] == version("llama-cpp-python")
    assert report["engines"]["llama.cpp"]["version"] == version("llama-cpp-python")
    assert report["engines"]["vllm"]["state"] == "not installed"
    assert report["engines"]["vllm"]["install"] == "codeserve engines install vllm"
    assert report["tunings"] == []
    assert not any(finding["broken"] for finding in report["findings"])


def test_a_model_is_measured_and_shown(tiny_deepseek_gguf: Path, cache: Path) -> None:
    measured = doctor("--json", "--measure", "--model", str(tiny_deepseek_gguf))
    shown = doctor("--model", str(tiny_deepseek_gguf))
    other = doctor("--json", "--model", "smollm2-instruct")

    report = json.loads(measured.stdout)
    (tuning,) = report["tunings"]
    assert tuning["current"]
    assert tuning["options"] == {}
    assert {tokens for tokens, _ in tuning["tuning"]["step_ms"]} >= {1, 2, 4, 8, 16, 32, 64, 256}
    assert [Path(one["path"]) for one in report["caches"]] == [cache / "tuning"]
    for word in ("chosen", "beaten", "flash_attn", "tokens: ms a step"):
        assert word in shown.output
    assert json.loads(other.stdout)["tunings"] == []


def test_a_tuning_of_a_file_that_has_changed_is_shown_as_such(tmp_path: Path) -> None:
    path, options = tmp_path / "model.gguf", LlamaCppOptions.of({"n_threads": 1})
    path.write_bytes(b"GGUF")
    tuning = msgspec.structs.replace(Tuning.static(options), measured_at=datetime.now(UTC))
    remembered.keep(remembered.Subject.of(path, options), path, tuning)
    assert "n_threads = 1" in doctor().output
    assert "have changed since" not in doctor().output

    path.write_bytes(b"GGUF and more")

    assert "have changed since" in doctor().output


def test_measuring_needs_a_model() -> None:
    result = doctor("--measure")
    assert (result.exit_code, result.stderr) == (
        2,
        "codeserve: --measure needs --model, the model to measure.\n",
    )


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nothing", "There is no model called 'nothing'"),
        ("/nowhere.gguf", "There are no weights at /nowhere.gguf"),
        ("deepseek-coder:1_3:Q4_K_M", "is not on this machine"),
    ],
)
def test_a_model_that_is_not_here_is_a_usage_error(
    reference: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    result = doctor("--model", reference)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_file_that_is_no_model_cannot_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK")
    result = doctor("--measure", "--model", str(path))
    assert result.exit_code == 1
    assert "could not be measured" in result.stderr
    assert "is not a GGUF file" in result.stderr


def python_that(tmp_path: Path, script: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "reason"),
    [("kill -ILL $$", "SIGILL"), ("echo 'no such library' >&2; exit 1", "no such library")],
)
def test_a_llama_cpp_that_crashes_is_broken(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python_that(tmp_path, script))
    result = doctor()
    assert result.exit_code == 1
    assert "broken" in result.output
    assert reason in result.output


def test_a_models_own_interpreter_that_lacks_packages_is_broken(tmp_path: Path) -> None:
    config = tmp_path / "codeserve.toml"
    config.write_text(
        f'[[models]]\npath = "x"\nengine = "vllm"\nengine_python = "{sys.executable}"\n'
    )
    result = doctor("--json", "--config", str(config))
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["engine_pythons"][0]["version"] is None
    [finding] = [one for one in report["findings"] if one["broken"]]
    assert f"{sys.executable} -m pip install vllm" in finding["remedy"]
