"""Whether others take the cores away while something is measured."""

import os
import time
from pathlib import Path

STATISTICS = Path("/proc/stat")
IDLE_FIELDS = (3, 4)
GUEST_FIELDS = 8
BUSY_SHARE = 0.05
"""Of the machine's time that others use, from which on a measurement tells more of them."""


class Interference:
    """Compares the machine's work with this process's, from its creation on.

    Work of other processes counts, and time that a hypervisor gives to other machines. Where the
    system does not tell (it has no ``/proc/stat``), nothing counts.
    """

    def __init__(self) -> None:
        self._others = _work() - time.process_time()
        self._started = time.perf_counter()

    @property
    def is_busy(self) -> bool:
        """Whether others have used a notable share of the cores since then."""
        capacity = (time.perf_counter() - self._started) * (os.cpu_count() or 1)
        return _work() - time.process_time() - self._others > BUSY_SHARE * capacity


def _work() -> float:
    """Seconds that the machine's cores were in use or withheld."""
    if not STATISTICS.exists():
        return time.process_time()
    _, *ticks = STATISTICS.read_text().partition("\n")[0].split()
    used = [int(tick) for tick in ticks[:GUEST_FIELDS]]
    idle = sum(used[field] for field in IDLE_FIELDS)
    return (sum(used) - idle) / os.sysconf("SC_CLK_TCK")
