"""Models in real workers, and what their processes hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codeserve.app.environments.engines import Engines
from codeserve.app.manager.drain import Drain
from codeserve.app.manager.launcher import LocalLauncher, LocalWorker, Log
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.app.manager.resolution import Resolution, resolve
from codeserve.app.manager.session import Session
from codeserve.app.manager.watchdog import Watchdog
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.types import EngineInfo
from codeserve.model_specs.catalog import Catalog


class RecordingLauncher(LocalLauncher):
    """Remembers the worker that it has launched."""

    worker: LocalWorker

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> LocalWorker:
        self.worker = await super().launch(engine, python, log, placement)
        return self.worker


@dataclass
class Loaded:
    resolution: Resolution
    path: Path
    info: EngineInfo
    pid: int
    session: Session


def resolved(settings: ModelSettings) -> Resolution:
    return resolve(settings, Catalog.load(), Engines(ServerSettings().engines))


@asynccontextmanager
async def loaded(settings: ModelSettings) -> AsyncIterator[Loaded]:
    """The model at ``settings.path``, loaded by a worker of its own."""
    assert settings.path is not None
    resolution, launcher = resolved(settings), RecordingLauncher()
    watchdog = Watchdog(heartbeat_timeout=60, stall_timeout=60)
    choice = resolution.choice
    opening = Session.open(launcher, choice, ANYWHERE, print, watchdog, Drain(0))
    async with opening as session:
        info = await session.load(resolution.config(settings.path), lambda phase, done: None)
        yield Loaded(resolution, settings.path, info, launcher.worker.pid, session)
