"""How much memory a KV cache may take where nobody has said so."""

import os
from pathlib import Path

from codeserve.engines.control_group import ROOT, memory_limits

MEMORY = Path("/proc/meminfo")

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


def available_bytes(cgroup: Path = ROOT) -> int:
    """Memory that this process could still take, within the limits of its container, whose control
    groups are at ``cgroup``."""
    if not MEMORY.exists():
        return total_bytes(cgroup)
    available = _field("MemAvailable")
    return min([available, *(limit.left_bytes for limit in memory_limits(cgroup))])


def total_bytes(cgroup: Path = ROOT) -> int:
    """Memory that this machine, or the container, has in all."""
    if not MEMORY.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([_field("MemTotal"), *(limit.bytes for limit in memory_limits(cgroup))])


def _field(name: str) -> int:
    """Bytes by the kernel's name for them."""
    fields = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    return int(fields[name].split()[0]) * 1024


def host_cache_bytes(asked_mib: int | None) -> int:
    """Host memory for evicted prefixes, to be asked when the weights are in memory; None: a
    quarter of what is free, at most 8 GiB."""
    if asked_mib is not None:
        return asked_mib * MIB
    return min(MOST_HOST_BYTES, int(available_bytes() * HOST_SHARE))
