"""What Prometheus is told of disks."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from codeserve.app.disk_space import DiskSpace

PATIENCE = 1.0
"""Seconds that a scrape waits for disks; a network's may not answer at all."""

Spaces = Mapping[str, DiskSpace]


class Disks:
    """Asks the disks that folders are on, away from the event loop, and once at a time."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """``folders`` by what to call them; they need not exist."""
        self._folders = folders
        self._asking: asyncio.Task[Spaces] | None = None

    async def collect(self) -> Sequence[Metric]:
        """The metrics, without values of what cannot be asked or does not answer in time."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._ask))
        await asyncio.wait([self._asking], timeout=PATIENCE)
        return _metrics(self._asking.result() if self._asking.done() else {})

    def _ask(self) -> Spaces:
        spaces = {}
        for name, folder in self._folders.items():
            try:
                spaces[name] = DiskSpace.at(folder)
            except OSError:
                continue
        return spaces


def _metrics(spaces: Spaces) -> Sequence[Metric]:
    free = GaugeMetricFamily(
        "codeserve_disk_free_bytes",
        "Free on the disk that the folder is on; folders on one disk say the same.",
        labels=["folder"],
    )
    size = GaugeMetricFamily(
        "codeserve_disk_size_bytes", "Size of the disk that the folder is on.", labels=["folder"]
    )
    for name, space in spaces.items():
        free.add_metric([name], space.free)
        size.add_metric([name], space.size)
    return free, size
