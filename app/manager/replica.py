"""One of a model's workers: loaded, proved, watched, and replaced when it is lost."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from msgspec.structs import replace

from codeserve.app.manager.restarts import Backoff
from codeserve.app.manager.session import Session, WorkerLost
from codeserve.app.manager.status import ModelState
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig, EngineInfo
from codeserve.engines.worker.client import WorkerClient

OpenSession = Callable[[], AbstractAsyncContextManager[Session]]
"""Launches a worker and connects to it."""

logger = logging.getLogger(__name__)


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a replica's life."""

    state: ModelState = ModelState.LOADING
    """LOADING, PROVING, READY, RESTARTING, or in the end FAILED."""
    phase: str = ModelState.LOADING
    """What is being done; else the state."""
    progress: float | None = None
    """How far ``phase`` is, from 0 to 1."""
    error: str | None = None
    """Why it failed, or why its worker was last replaced."""
    restarts: int = 0
    """Workers started after the first one."""
    info: EngineInfo | None = None
    """What was loaded last."""


class Replica:
    """Runs one worker after another until that is of no use."""

    def __init__(
        self,
        open_session: OpenSession,
        config: EngineConfig,
        backoff: Backoff,
        changed: Callable[["Replica"], None],
    ) -> None:
        """``changed`` is called whenever the status has changed."""
        self.status = ReplicaStatus()
        self._open_session = open_session
        self._config = config
        self._backoff = backoff
        self._changed = changed
        self._session: Session | None = None

    @property
    def client(self) -> WorkerClient | None:
        """The connection to a worker that is ready."""
        return None if self._session is None else self._session.client

    @property
    def pid(self) -> int | None:
        """The process of a worker that is ready and runs on this machine."""
        return None if self._session is None else self._session.pid

    @property
    def stalled(self) -> str | None:
        """How long a worker that is ready has stood still; None: it works."""
        return None if self._session is None else self._session.stalled

    async def run(self) -> None:
        """Keep a worker running; return when the replica has FAILED."""
        try:
            while True:
                delay = await self._run_worker()
                await asyncio.sleep(delay)
        except ModelLoadError as error:
            self._move(ModelState.FAILED, error.message)
        except Exception as error:
            logger.exception("supervision failed")
            self._move(ModelState.FAILED, f"{type(error).__name__}: {error}")

    async def _run_worker(self) -> float:
        """Run one worker until it is lost; seconds to wait before the next.

        Raises ModelLoadError when another one is of no use.
        """
        served = None
        try:
            reason, served = await self._serve()
        except WorkerLost as lost:
            reason = str(lost)
        delay = self._backoff.delay(served)
        if delay is None:
            raise ModelLoadError(f"No worker survives loading the model: {reason}")
        self.status = replace(self.status, restarts=self.status.restarts + 1)
        self._move(ModelState.RESTARTING, reason)
        return delay

    async def _serve(self) -> tuple[str, float]:
        """Why a worker was lost, and how many seconds it has served.

        Raises ModelLoadError, and WorkerLost where it was lost before it was ready.
        """
        self._move(ModelState.LOADING)
        try:
            async with self._open_session() as session:
                info = await session.load(self._config, self._report)
                self._session = session
                self.status = replace(self.status, info=info)
                self._move(ModelState.READY)
                since = time.monotonic()
                return await session.lost(), time.monotonic() - since
        finally:
            self._session = None

    def _report(self, phase: str, fraction: float) -> None:
        if phase == ModelState.PROVING:
            self._move(ModelState.PROVING)
        else:
            self.status = replace(self.status, phase=phase, progress=fraction)
            self._changed(self)

    def _move(self, state: ModelState, error: str | None = None) -> None:
        self.status = replace(
            self.status,
            state=state,
            phase=state.value,
            progress=None,
            error=error or self.status.error,
        )
        self._changed(self)
