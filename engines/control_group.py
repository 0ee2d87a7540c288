"""The memory limits of the container that this process runs in."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
LEAST_BYTES = 1
"""What counts as left where more is used than is allowed."""


class MemoryLimit(msgspec.Struct, frozen=True):
    """One control group's limit; a process may be below several."""

    bytes: int
    used_bytes: int
    """Without files in memory that can leave it at any time."""

    @property
    def left_bytes(self) -> int:
        """What its processes could still take."""
        return max(LEAST_BYTES, self.bytes - self.used_bytes)


def memory_limits(root: Path = ROOT, membership: Path = MEMBERSHIP) -> tuple[MemoryLimit, ...]:
    """The limits of the process's group and of those above it, where there are any.

    ``root``: where the control groups, of version 1 or 2, are mounted; ``membership``: the file
    that names the process's groups. A container often sees its own group as the root.
    """
    found = []
    for folder in _folders(root / "memory", _path(membership, "memory")):
        found.append(_read(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"))
    for folder in _folders(root, _path(membership, "")):
        found.append(_read(folder, "memory.max", "memory.current", ""))
    return tuple(limit for limit in found if limit is not None)


def _path(membership: Path, controller: str) -> str:
    """The process's group among those of ``controller``; the empty one: version 2."""
    if not membership.exists():
        return ""
    for line in membership.read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path.strip("/")
    return ""


def _folders(root: Path, path: str) -> Iterator[Path]:
    """``root`` and the groups below it down to ``path``."""
    yield root
    for name in filter(None, path.split("/")):
        root = root / name
        yield root


def _read(folder: Path, limit: str, used: str, prefix: str) -> MemoryLimit | None:
    """The limit of one group; None: it has none. Version 1 writes a huge number for that."""
    if not (folder / limit).exists():
        return None
    most = (folder / limit).read_text().strip()
    if not most.isdecimal():
        return None
    fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    idle = int(fields.get(f"{prefix}inactive_file", 0))
    return MemoryLimit(int(most), int((folder / used).read_text()) - idle)
