"""``codeserve plan`` as users run it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.app.cli.conftest import COMMAND


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "plan", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "140", **environment},
    )


def planned(*arguments: str, **environment: str) -> Any:
    done = run(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_reference_to_the_catalogue_is_planned() -> None:
    plan = planned("deepseek-coder-instruct:33:Q4_K_M", "--context-length", "8192")
    assert (plan["weights"], plan["engine"]) == ("catalogue", "llama.cpp")
    assert plan["requirement"]["kv_bytes"] == (4 * 8192 + 256) * 253_952
    rows = {row["quantization"]: row for row in plan["quantizations"]}
    assert rows["Q4_K_M"]["total_bytes"] == plan["total_bytes"]
    assert rows["Q2_K"]["small_context_bytes"] == pytest.approx(16.53e9, rel=0.05)


def test_the_flags_of_launch_say_the_same() -> None:
    flags = (
        *("--model-engine", "llama.cpp", "--model-name", "deepseek-coder-instruct"),
        *("--size-in-billions", "33", "--model-format", "ggufv2", "--quantization", "Q4_K_M"),
        *("--context-length", "2048", "--max-concurrency", "2", "--type-k", "q8_0"),
    )
    by_flags = planned(*flags)
    by_spec = planned("deepseek-coder-instruct:33:Q4_K_M", *flags[10:])
    assert by_flags["requirement"] == by_spec["requirement"]
    assert by_flags["max_concurrency"] == 2
    assert by_flags["requirement"]["kv_bytes"] == round((2 * 2048 + 256) * 126_976 * 24.5 / 16)


def test_a_file_is_planned_by_its_own_head(smollm2_path: Path) -> None:
    plan = planned(str(smollm2_path), "--context-length", "1024")
    assert plan["requirement"]["weights_bytes"] == smollm2_path.stat().st_size
    assert plan["weights"] == str(smollm2_path)
    assert plan["fits"]


def test_the_embedded_model_is_found_by_its_name() -> None:
    plan = planned("smollm2-instruct")
    assert plan["weights"].endswith(".gguf")
    assert plan["exact"]


def test_a_limit_decides_what_fits_and_the_refusal_has_the_numbers() -> None:
    plan = planned("deepseek-coder-instruct:33:Q8_0", CODESERVE_MAX_MEMORY="24GB")
    assert plan["limits"]["memory"] == 24_000_000_000
    assert plan["fits"] is False
    assert "24.0 GB of main memory for models" in plan["refusal"]
    fitting = {row["quantization"] for row in plan["quantizations"] if row["fits"]}
    assert "Q8_0" not in fitting
    assert all(
        row["missing_bytes"] == row["total_bytes"] - 24_000_000_000
        for row in plan["quantizations"]
        if row["quantization"] not in fitting
    )


def test_people_get_tables() -> None:
    done = run("deepseek-coder-instruct:33:Q4_K_M", "--max-memory", "20GB")
    assert done.returncode == 0, done.stderr
    for part in ("weights", "KV cache", "overhead", "main memory", "Q5_K_M", "does not fit"):
        assert part in done.stdout


def test_an_engine_that_is_not_installed_is_planned_and_said_to_be_missing(tmp_path: Path) -> None:
    plan = planned(
        *("deepseek-coder:1_3", "--model-engine", "vLLM", "--model-format", "pytorch"),
        CODESERVE_ENGINES=str(tmp_path),
    )
    assert plan["engine"] == "vllm"
    assert plan["installed"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to launch"),
        (("deepseek-coder:2",), "There is no size of deepseek-coder called '2'"),
        (("deepseek-coder:33:Q9",), "There is no quantization of deepseek-coder 33 ggufv2"),
        (("deepseek-codr:33",), "Did you mean deepseek-coder"),
        (("a:1:Q4:x",), "is no model reference"),
        (("/nowhere/a.gguf",), "There are no weights at /nowhere/a.gguf"),
        (("deepseek-coder:33", "--model-name", "x"), "name the model once"),
        (("deepseek-coder:33", "--max-memory", "lots"), "'lots' is no size such as 20GB"),
        (("deepseek-coder:33", "--model-engine", "tgi"), "tgi"),
    ],
)
def test_what_cannot_be_planned_is_one_clear_line(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF\3\0\0\0")
    done = run(str(path))
    assert done.returncode == 1
    assert f"codeserve: {path} is cut short" in done.stderr
