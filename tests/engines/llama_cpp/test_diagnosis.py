from pathlib import Path

import pytest

from codeserve.engines.llama_cpp import diagnosis
from codeserve.engines.llama_cpp.machine import Machine

SAPPHIRE_RAPIDS = Machine(
    cpu="Xeon", features=("avx2", "avx512f", "avx512_vnni", "amx_int8"), cores=4
)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_build_that_uses_the_whole_cpu_is_fine() -> None:
    assert list(diagnosis.of_build(SAPPHIRE_RAPIDS, SAPPHIRE_RAPIDS.vector_extensions, False)) == []


def test_a_build_that_leaves_instructions_unused_is_slow_and_the_remedy_a_command() -> None:
    (finding,) = diagnosis.of_build(SAPPHIRE_RAPIDS, ("AVX2", "AVX512", "AVX512_VNNI"), False)
    assert not finding.broken
    assert "The CPU has AMX_INT8, but" in finding.what
    assert diagnosis.REBUILD in finding.remedy


@pytest.mark.parametrize(("has_gpu", "findings"), [(False, 1), (True, 0)])
def test_a_gpu_that_the_build_cannot_use_is_named(
    no_gpu: Path, has_gpu: bool, findings: int
) -> None:
    command = no_gpu / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU 0: H100'\n")
    command.chmod(0o755)
    found = list(diagnosis.of_build(Machine(cpu="", features=(), cores=1), (), has_gpu))
    assert len(found) == findings


def test_a_missing_package_is_broken() -> None:
    assert diagnosis.missing_package("No module named 'llama_cpp'").broken


def test_a_measurement_on_a_busy_machine_is_worth_repeating_while_it_holds() -> None:
    (finding,) = diagnosis.of_tuning("m.gguf", current=True, busy=True)
    assert finding.remedy.endswith("`codeserve doctor --measure --model m.gguf`.")
    assert not list(diagnosis.of_tuning("m.gguf", current=False, busy=True))
    assert not list(diagnosis.of_tuning("m.gguf", current=True, busy=False))


def test_a_cache_that_cannot_be_written_is_slow() -> None:
    (finding,) = diagnosis.of_cache("/cache", writable=False)
    assert "/cache is not writable" in finding.what
    assert not list(diagnosis.of_cache("/cache", writable=True))
