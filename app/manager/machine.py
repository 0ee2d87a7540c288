"""The GPUs and cores of this machine that may be shared out among workers."""

import os
from pathlib import Path

from codeserve.app.manager.placement import Machine
from codeserve.app.memory.gpus import gpu_memories

CPUS = Path("/sys/devices/system/cpu")


def this_machine(cpus: Path = CPUS) -> Machine:
    """What this process may use. Without NVIDIA's driver there are no GPUs."""
    return Machine(gpus=_gpus(), cores=_cores(cpus))


def _gpus() -> tuple[int, ...]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` leaves, as the driver counts them."""
    return visible_gpus(len(gpu_memories()), os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible_gpus(count: int, visible: str | None) -> tuple[int, ...]:
    """Those of ``count`` GPUs that ``visible``, as ``CUDA_VISIBLE_DEVICES``, leaves; all where it
    names them in another way than by indices."""
    if visible is None:
        return tuple(range(count))
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if not all(name.lstrip("-").isdecimal() for name in names):
        return tuple(range(count))
    return tuple(index for index in map(int, names) if 0 <= index < count)


def _cores(cpus: Path) -> tuple[tuple[int, ...], ...]:
    """The CPUs of each physical core that this process may use, by package and number."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores: dict[tuple[int, int], list[int]] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        topology = cpus / f"cpu{cpu}" / "topology"
        place = (_number(topology / "physical_package_id", 0), _number(topology / "core_id", cpu))
        cores.setdefault(place, []).append(cpu)
    return tuple(tuple(cores[place]) for place in sorted(cores))


def _number(path: Path, unknown: int) -> int:
    return int(path.read_text()) if path.exists() else unknown
