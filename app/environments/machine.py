"""The NVIDIA GPUs of this machine, seen without any engine's libraries."""

import os
import shutil
import subprocess
from pathlib import Path

import msgspec

DRIVER = Path("/proc/driver/nvidia/gpus")
DEVICES = Path("/dev")
HIDDEN = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide every GPU."""
QUERY = ("--query-gpu=name,memory.total,compute_cap,driver_version", "--format=csv,noheader")
QUERY_SECONDS = 30


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU, for people; None is unknown."""

    name: str
    memory: str | None = None
    compute_capability: str | None = None
    driver: str | None = None


def has_gpu() -> bool:
    """Whether CUDA programs see a GPU here; from files, so that it may be asked at any time."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:
        return False
    if _in_driver() or any(DEVICES.glob("nvidia[0-9]*")):
        return True
    return bool(_in_management())  # Windows' subsystem for Linux has no such files.


def gpus() -> tuple[Gpu, ...]:
    """Every GPU that CUDA programs may see, as far as driver or ``nvidia-smi`` tell."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:
        return ()
    return _in_management() or _in_driver()


def _in_driver() -> tuple[Gpu, ...]:
    """What the driver's files tell."""
    files = sorted(DRIVER.glob("*/information"))
    return tuple(Gpu(name=_model(file.read_text(errors="replace"))) for file in files)


def _model(information: str) -> str:
    pairs = (line.split(":", 1) for line in information.splitlines() if ":" in line)
    return next((value.strip() for name, value in pairs if name == "Model"), "NVIDIA GPU")


def _in_management() -> tuple[Gpu, ...]:
    """What ``nvidia-smi`` tells; nothing where it is not installed or fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        done = subprocess.run(
            [command, *QUERY], capture_output=True, text=True, timeout=QUERY_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:
        return ()
    rows = (line.split(", ") for line in done.stdout.splitlines())
    return tuple(
        Gpu(name=row[0], memory=row[1], compute_capability=row[2], driver=row[3])
        for row in rows
        if len(row) == len(Gpu.__struct_fields__)
    )
