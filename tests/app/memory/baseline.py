"""What this process and its children took before a test, to see that all of it comes back."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from codeserve.app.memory.gpus import gpu_bytes_of


@dataclass(frozen=True)
class Baseline:
    pids: frozenset[int]

    @classmethod
    def take(cls) -> "Baseline":
        return cls(_children())

    def new_processes(self) -> set[int]:
        """Processes below this one that were not there before."""
        return set(_children() - self.pids)

    def new_gpu_bytes(self) -> Mapping[int, int]:
        """What they hold on each GPU, by NVML; nothing without a GPU."""
        return gpu_bytes_of(self.new_processes())


def _children() -> frozenset[int]:
    return frozenset(child.pid for child in psutil.Process().children(recursive=True))
