"""How much memory a KV cache may take where nobody has said so."""

import os
from pathlib import Path

MEMORY = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")

LONGEST_DEFAULT = 8192
SHORTEST_DEFAULT = 512
STEP = 256
MIB = 1024 * 1024
MOST_HOST_BYTES = 8 * 1024 * MIB
HOST_SHARE = 0.25
SHARE = 0.5
"""Of the memory that is left beside the weights."""


def default_context_length(
    trained: int, slots: int, token_bytes: int | None, free_bytes: int
) -> int:
    """Tokens per request so that the cache of ``slots`` requests fits into half of ``free_bytes``.

    At most ``trained`` and 8192, at least 512. ``token_bytes``: what one token takes in the cache;
    None if it is not known, which counts as nothing.
    """
    longest = min(trained, LONGEST_DEFAULT)
    if not token_bytes:
        return longest
    fitting = int(free_bytes * SHARE) // (slots * token_bytes)
    return min(longest, max(SHORTEST_DEFAULT, fitting // STEP * STEP))


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Memory that this process could still take, within the limit of its container, whose control
    group (version 2) is ``cgroup``."""
    if not MEMORY.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    fields = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = cgroup / "memory.max"
    if not limit.exists() or (most := limit.read_text().strip()) == "max":
        return available
    return min(available, max(1, int(most) - _used_bytes(cgroup)))


def _used_bytes(cgroup: Path) -> int:
    """What the container uses, without files in memory that can leave it at any time."""
    fields = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    return int((cgroup / "memory.current").read_text()) - int(fields["inactive_file"])


def host_cache_bytes(asked_mib: int | None) -> int:
    """Host memory for evicted prefixes, to be asked when the weights are in memory; None: a
    quarter of what is free, at most 8 GiB."""
    if asked_mib is not None:
        return asked_mib * MIB
    return min(MOST_HOST_BYTES, int(available_bytes() * HOST_SHARE))
