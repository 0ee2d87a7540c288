"""One model's life: fetched, loaded, watched, restarted, drained."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from msgspec.structs import replace

from codeserve.app.manager.launcher import Launcher
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.resolution import Resolution
from codeserve.app.manager.restarts import Backoff, RestartPolicy
from codeserve.app.manager.session import Session, WorkerLost
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.manager.watchdog import Watchdog
from codeserve.app.settings import ServerSettings
from codeserve.engines.errors import ModelLoadError, ModelUnavailable
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import store

LOG_LINES = 50
RETRY_SECONDS = {
    ModelState.PENDING: 5.0,
    ModelState.PULLING: 30.0,
    ModelState.LOADING: 5.0,
    ModelState.PROVING: 2.0,
    ModelState.RESTARTING: 5.0,
    ModelState.DRAINING: 30.0,
}
"""When to try again; a state that is not listed does not pass by itself."""

logger = logging.getLogger(__name__)


class ManagedModel:
    """A launched model. A task of its own supervises it from PENDING until it is stopped or fails.

    The task fetches the weights and runs one worker after another; ``stop`` ends it.
    """

    def __init__(
        self,
        resolution: Resolution,
        launcher: Launcher,
        server: ServerSettings,
        policy: RestartPolicy,
    ) -> None:
        """Begin the model's life; needs a running event loop."""
        self.settings = resolution.settings
        self._resolution = resolution
        self._launcher = launcher
        self._server = server
        self._backoff = Backoff(policy)
        self._status = ModelStatus(
            id=self.settings.id,
            state=ModelState.PENDING,
            created=int(time.time()),
            spec=self.settings.model_dump(mode="json", exclude_none=True),
            engine=resolution.choice.engine,
            engine_reason=resolution.choice.reason,
        )
        self._log_tail: deque[str] = deque(maxlen=LOG_LINES)
        self._logger = logging.LoggerAdapter(logger, {"model": self.settings.id})
        self._session: Session | None = None
        self._served: LeasedModel | None = None
        self._leases = 0
        self._unleased = asyncio.Event()
        self._changed = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._life = asyncio.create_task(self._live())

    @property
    def status(self) -> ModelStatus:
        """Where the model stands now; from memory."""
        status = replace(self._status, log_tail=tuple(self._log_tail))
        if self._session is None:
            return status
        load = self._session.client.engine_load
        return replace(status, running=load.running, waiting=load.waiting)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more unless the model is launched again."""
        return self._status.state in (ModelState.FAILED, ModelState.STOPPED)

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` has been called."""
        return self._stopping is not None

    async def settled(self) -> ModelStatus:
        """Wait until the model is READY, FAILED or STOPPED."""
        while not self._status.state.settled:
            await self._changed.wait()
        return self.status

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[LeasedModel]:
        """Use the model for one request. Raises ModelUnavailable unless it is READY."""
        if self._served is None or self._status.state is not ModelState.READY:
            raise ModelUnavailable(
                f"The model {self._status.id!r} is not available: {self._describe()}.",
                param="model",
                retry_after=RETRY_SECONDS.get(self._status.state),
            )
        self._leases += 1
        try:
            yield self._served
        finally:
            self._leases -= 1
            if self._leases == 0:
                self._unleased.set()

    async def stop(self) -> None:
        """Refuse new leases, let leased requests finish within the time to drain, end the worker.

        Legal in every state, and more than once.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        if self._status.state is ModelState.READY:
            self._move(ModelState.DRAINING)
            if self._leases > 0:
                self._unleased.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._unleased.wait(), self._server.drain_timeout)
        self._life.cancel()
        await asyncio.wait([self._life])
        self._move(ModelState.STOPPED)

    async def _live(self) -> None:
        choice = self._resolution.choice
        self._logger.info("engine %s: %s", choice.engine, choice.reason)
        try:
            await asyncio.to_thread(self._resolution.check_interpreter)
            await self._run(await self._fetch())
        except ModelLoadError as error:
            self._fail(error.message)
        except Exception as error:
            self._logger.exception("supervision failed")
            self._fail(f"{type(error).__name__}: {error}")

    async def _fetch(self) -> EngineConfig:
        """Get the weights onto this machine. Raises ModelLoadError."""
        selection = self._resolution.selection
        if selection is None:
            return self._resolution.config(self._resolution.local_path())
        self._move(ModelState.PULLING)
        loop = asyncio.get_running_loop()

        def report(done: int, total: int | None) -> None:
            if self._stopping is not None:
                raise PullError("The model was stopped.")
            loop.call_soon_threadsafe(self._note, "downloading", done / total if total else None)

        try:
            path = await asyncio.to_thread(
                store.fetch, selection.spec, selection.quantization, report
            )
        except PullError as error:
            raise ModelLoadError(str(error)) from error
        return self._resolution.config(path)

    async def _run(self, config: EngineConfig) -> None:
        """Run one worker after another. Raises ModelLoadError when that is of no use."""
        while True:
            try:
                reason, served = await self._run_worker(config)
            except WorkerLost as lost:
                reason, served = str(lost), None
            if self._status.state is ModelState.DRAINING:
                return
            delay = self._backoff.delay(served)
            if delay is None:
                raise ModelLoadError(f"No worker survives loading the model: {reason}")
            self._move(ModelState.RESTARTING, reason)
            self._status = replace(self._status, restarts=self._status.restarts + 1)
            await asyncio.sleep(delay)

    async def _run_worker(self, config: EngineConfig) -> tuple[str, float]:
        """Run one worker until it is lost; why, and how many seconds it has served.

        Raises ModelLoadError, and WorkerLost where the worker is lost before it is ready.
        """
        self._move(ModelState.LOADING)
        watchdog = Watchdog(
            heartbeat_timeout=self._server.heartbeat_timeout,
            stall_timeout=self._server.stall_timeout,
        )
        choice = self._resolution.choice
        try:
            async with Session.open(self._launcher, choice, self._log, watchdog) as session:
                info = await session.load(config, self._report_loading)
                self._session = session
                self._served = LeasedModel(self._status.id, info, session.client)
                self._status = replace(self._status, info=info)
                self._move(ModelState.READY)
                since = time.monotonic()
                return await session.lost(), time.monotonic() - since
        finally:
            self._session = self._served = None

    def _report_loading(self, phase: str, fraction: float) -> None:
        if phase == ModelState.PROVING:
            self._move(ModelState.PROVING)
        else:
            self._note(phase, fraction)

    def _note(self, phase: str, progress: float | None) -> None:
        self._status = replace(self._status, phase=phase, progress=progress)

    def _move(self, state: ModelState, error: str | None = None) -> None:
        """Enter ``state``; an ``error`` stays in the status until there is another."""
        assert self._status.state.may_become(state), f"{self._status.state} to {state}"
        error = error or self._status.error
        self._status = replace(
            self._status, state=state, phase=state.value, progress=None, error=error
        )
        self._changed.set()
        self._changed = asyncio.Event()

    def _fail(self, reason: str) -> None:
        self._logger.error("the model failed: %s", reason)
        if self._status.state is not ModelState.DRAINING:
            self._move(ModelState.FAILED, reason)

    def _log(self, line: str) -> None:
        self._log_tail.append(line)
        self._logger.info("worker: %s", line)

    def _describe(self) -> str:
        """The state in words, with the phase and how far it is, or what went wrong."""
        status = self._status
        if status.state in (ModelState.FAILED, ModelState.RESTARTING):
            return f"{status.state}: {status.error}"
        percent = "" if status.progress is None else f", {status.progress:.0%}"
        phase = "" if status.phase == status.state else f" ({status.phase}{percent})"
        return f"{status.state}{phase}"
