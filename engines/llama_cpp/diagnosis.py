"""What is wrong or slower than it could be with llama.cpp on this machine, and what to do."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from codeserve.engines.llama_cpp.machine import Machine

REBUILD = "python -m codeserve.engines.llama_cpp.build requirements/llama-cpp.txt"
EFFORTS = ("AVX2", "AVX512", "AVX512_VNNI", "AMX_INT8", "DOTPROD", "MATMUL_INT8")
"""Extensions without which matrix products take a multiple of the time."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could be better."""

    broken: bool
    """True: it will not work. False: it works, but slower than it could."""
    what: str
    remedy: str


def missing_package(reason: str) -> Finding:
    """llama.cpp cannot be imported."""
    return Finding(
        broken=True,
        what=f"The engine llama.cpp cannot be loaded: {reason}.",
        remedy=f"Install it in the repository with `make serve`, or with `{REBUILD}`.",
    )


def of_build(machine: Machine, features: Sequence[str], has_gpu: bool) -> Iterator[Finding]:
    """What the build lacks that the machine has; ``features`` are the build's."""
    lacking = [
        name for name in machine.vector_extensions if name in EFFORTS and name not in features
    ]
    if lacking:
        yield Finding(
            broken=False,
            what=f"The CPU has {', '.join(lacking)}, but this build of llama.cpp does not use it.",
            remedy=f"Build it for this machine: `{REBUILD}`. If that says that nothing is to do, "
            "the faster build did not work here: install a newer compiler and run it again.",
        )
    if not has_gpu and _nvidia_gpu():
        yield Finding(
            broken=False,
            what="There is an NVIDIA GPU, but this build of llama.cpp cannot use it.",
            remedy=f"Install the CUDA toolkit (`nvcc`) and build again: `{REBUILD}`.",
        )


def of_cache(folder: str, writable: bool) -> Iterator[Finding]:
    """Whether measurements can be remembered in ``folder``."""
    if not writable:
        yield Finding(
            broken=False,
            what=f"{folder} is not writable: every start measures the model again.",
            remedy="Make it writable, or set XDG_CACHE_HOME to a folder that is.",
        )


def of_tuning(path: str, current: bool, busy: bool) -> Iterator[Finding]:
    """Whether a remembered measurement can be trusted."""
    if current and busy:
        yield Finding(
            broken=False,
            what=f"{path} was measured while other processes used the cores.",
            remedy=f"Measure it on the quiet machine: `codeserve doctor --measure --model {path}`.",
        )


def _nvidia_gpu() -> bool:
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    done = subprocess.run([command, "-L"], capture_output=True, timeout=30)
    return done.returncode == 0 and bool(done.stdout.strip())
