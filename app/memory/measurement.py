"""What running workers take of main memory and of GPUs."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from codeserve.app.memory.gpus import gpu_bytes_of


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of one or more workers and all processes below them."""

    own_bytes: int
    """Main memory without the weights' mappings; pages that processes share are divided."""
    mapped_bytes: int
    """The weights' files, as far as they are mapped into memory."""
    gpu_bytes: Mapping[int, int] = {}
    """By GPU."""

    def host_bytes(self, process_bytes: int) -> int:
        """Main memory with the weights counted once.

        A mapped file may be evicted and read again, so all of it counts, whether it is in memory
        now or not. But llama.cpp also copies weights into another order, and never looks at their
        pages in the file again: what a worker has of its own beyond ``process_bytes`` is such
        copies.
        """
        return max(self.own_bytes, self.mapped_bytes + min(self.own_bytes, process_bytes))


def measure(pids: Sequence[int], weights: Collection[Path]) -> Measurement | None:
    """The processes ``pids`` and all below them; ``weights`` are the files that they may have
    mapped. None: none of them runs."""
    files = {str(path.resolve()) for path in weights}
    trees = [tree for pid in pids if (tree := _tree(pid))]
    if not trees:
        return None
    parts = [[_main_memory(process, files) for process in tree] for tree in trees]
    return Measurement(
        own_bytes=sum(own for part in parts for own, _ in part),
        mapped_bytes=sum(max(mapped for _, mapped in part) for part in parts),
        gpu_bytes=gpu_bytes_of({process.pid for tree in trees for process in tree}),
    )


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    return []


def _main_memory(process: psutil.Process, files: Collection[str]) -> tuple[int, int]:
    """Own and mapped bytes; 0 for one that has ended, the resident set where no more is told."""
    try:
        maps = process.memory_maps(grouped=False)
        own = sum(item.pss for item in maps if item.path not in files)
        return own, sum(item.size for item in maps if item.path in files)
    except (psutil.AccessDenied, AttributeError, NotImplementedError):
        with suppress(psutil.Error):
            return process.memory_info().rss, 0
    except psutil.NoSuchProcess:
        pass
    return 0, 0
