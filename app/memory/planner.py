"""Says before loading what a model will need, and whether it fits this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from codeserve.app.manager.resolution import Resolution
from codeserve.app.memory.ledger import Ledger
from codeserve.app.memory.requirement import HOST, Requirement
from codeserve.app.settings import ServerSettings


class Planner:
    """The one place that weighs models against memory."""

    def __init__(self, server: ServerSettings, ledger: Ledger | None = None) -> None:
        self._server = server
        self._ledger = ledger

    def requirement(self, resolution: Resolution, path: Path | None) -> Requirement:
        """What one replica needs: by the weights at ``path``, else by the catalogue's shape."""
        return Requirement()

    def check(self, resolution: Resolution, requirement: Requirement) -> None:
        """Raise InsufficientMemory if all replicas can never be loaded here together."""

    def limits(self) -> Mapping[str, int]:
        """Bytes of each pool that all models may take together."""
        return {HOST: self._server.max_memory or psutil.virtual_memory().total}

    def record(self, resolution: Resolution, path: Path, pids: Sequence[int]) -> int | None:
        """Bytes that the workers ``pids`` and their children take, remembered; None if unknown."""
        return None
