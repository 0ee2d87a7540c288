from pathlib import Path

import pytest

from codeserve.app.environments import machine
from codeserve.app.environments.machine import Gpu, gpus, has_gpu

SAID = "NVIDIA H100 80GB HBM3, 81559 MiB, 9.0, 570.86.15"


@pytest.fixture(autouse=True)
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a GPU, whatever this one has."""
    for name in ("driver", "dev", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "driver")
    monkeypatch.setattr(machine, "DEVICES", tmp_path / "dev")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def add_management(folder: Path, script: str) -> None:
    command = folder / "bin" / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def add_driver(folder: Path) -> None:
    (folder / "driver" / "0000:01:00.0").mkdir()
    file = folder / "driver" / "0000:01:00.0" / "information"
    file.write_text("Model: \t\t NVIDIA L4\nIRQ:   \t 11\n")


def test_a_machine_without_a_gpu_has_none() -> None:
    assert not has_gpu()
    assert gpus() == ()


def test_the_drivers_files_tell_of_gpus(no_gpu: Path) -> None:
    add_driver(no_gpu)
    assert has_gpu()
    assert gpus() == (Gpu(name="NVIDIA L4"),)


def test_a_device_file_shows_that_there_is_a_gpu(no_gpu: Path) -> None:
    (no_gpu / "dev" / "nvidiactl").touch()
    assert not has_gpu()
    (no_gpu / "dev" / "nvidia0").touch()
    assert has_gpu()


def test_the_driver_s_command_tells_more(no_gpu: Path) -> None:
    add_management(no_gpu, f"echo '{SAID}'")
    assert has_gpu()
    assert gpus() == (
        Gpu(
            name="NVIDIA H100 80GB HBM3",
            memory="81559 MiB",
            compute_capability="9.0",
            driver="570.86.15",
        ),
    )


def test_a_driver_that_does_not_work_shows_no_gpu(no_gpu: Path) -> None:
    add_management(no_gpu, "echo 'failed to communicate'; exit 9")
    assert gpus() == ()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_there(
    hidden: str, no_gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_driver(no_gpu)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not has_gpu()
    assert gpus() == ()
