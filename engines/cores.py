"""How many threads pay off."""

import os
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Physical cores that this process may use: at least 1.

    Hyper-threads share the vector units that matrix products need, so they count once. A
    container's CPU quota counts, because threads beyond it are stopped in mid-step.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = {_siblings(cpu) for cpu in os.sched_getaffinity(0)}
    return max(1, min(len(cores), _quota()))


def _siblings(cpu: int) -> str:
    """The hyper-threads of the core that ``cpu`` belongs to; unknown, it counts as a core."""
    path = CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    return path.read_text() if path.exists() else str(cpu)


def _quota() -> int:
    """CPUs that the control group (version 2) grants; many if there is no limit."""
    if not CGROUP_QUOTA.exists():
        return os.cpu_count() or 1
    quota, period = CGROUP_QUOTA.read_text().split()
    return os.cpu_count() or 1 if quota == "max" else int(quota) // int(period)
