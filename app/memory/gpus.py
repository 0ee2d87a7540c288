"""The memory of NVIDIA's GPUs, as the driver's own library reports it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import msgspec
import pynvml


class GpuMemory(msgspec.Struct, frozen=True):
    """One GPU's memory."""

    index: int
    """As the driver counts."""
    total_bytes: int
    free_bytes: int


def gpu_memories() -> tuple[GpuMemory, ...]:
    """Of every GPU; none where there is no driver."""
    with _driver() as count:
        return tuple(_memory(index) for index in range(count))


def gpu_bytes_of(pids: Collection[int]) -> Mapping[int, int]:
    """What the processes ``pids`` take, by GPU; those where they take nothing, or where the driver
    does not tell, as in some containers, are left out."""
    taken: dict[int, int] = {}
    with _driver() as count:
        for index in range(count):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid in pids and process.usedGpuMemory:
                    taken[index] = taken.get(index, 0) + process.usedGpuMemory
    return taken


@contextmanager
def _driver() -> Iterator[int]:
    """The number of GPUs while the driver can be asked; 0 without one."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield 0
        return
    try:
        yield pynvml.nvmlDeviceGetCount()
    finally:
        pynvml.nvmlShutdown()


def _memory(index: int) -> GpuMemory:
    memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index))
    return GpuMemory(index, int(memory.total), int(memory.free))
