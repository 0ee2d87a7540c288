"""One worker from its launch to its end."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codeserve.app.environments.choice import EngineChoice
from codeserve.app.manager.drain import Drain
from codeserve.app.manager.launcher import Launcher, Log, WorkerProcess
from codeserve.app.manager.placement import Placement
from codeserve.app.manager.watchdog import START, Watchdog
from codeserve.engines.base import Progress
from codeserve.engines.errors import EngineRestarted
from codeserve.engines.types import EngineConfig, EngineInfo
from codeserve.engines.worker.client import RETRY_AFTER_SECONDS, WorkerClient

CONNECT_SECONDS = 60.0
EXIT_SECONDS = 5.0


class WorkerLost(Exception):
    """The worker crashed or hung; the message says which and why."""


class Session:
    """A running worker, its connection, and a watch over both."""

    def __init__(
        self, worker: WorkerProcess, client: WorkerClient, watchdog: Watchdog, drain: Drain
    ) -> None:
        self.client = client
        self._worker = worker
        self._watchdog = watchdog
        self._drain = drain
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        launcher: Launcher,
        choice: EngineChoice,
        placement: Placement,
        log: Log,
        watchdog: Watchdog,
        drain: Drain,
    ) -> AsyncIterator["Session"]:
        """Launch a worker for the chosen engine in its place and connect to it; at the end it is
        told to exit, or killed; at once where the ``drain`` is cut short.

        Raises ModelLoadError where no worker can be launched, and WorkerLost.
        """
        worker = await launcher.launch(choice.engine, choice.python, log, placement)
        try:
            client = await _connect(worker)
            session = cls(worker, client, watchdog, drain)
            try:
                yield session
            finally:
                await session._close()
        finally:
            await worker.end(0)

    @property
    def pid(self) -> int | None:
        """The worker's process; None: it runs on another machine."""
        return self._worker.pid

    @property
    def stalled(self) -> str | None:
        """How long the worker has stood still; None: it works, or has nothing to do."""
        return self._watchdog.stalled

    async def load(self, config: EngineConfig, progress: Progress) -> EngineInfo:
        """Load and prove the model. Raises ModelLoadError and WorkerLost."""

        def report(phase: str, fraction: float) -> None:
            self._watchdog.loading = phase, fraction
            progress(phase, fraction)

        self._watchdog.loading = START
        try:
            return await self.client.load(config, report)
        except EngineRestarted as error:
            raise WorkerLost(await self.lost()) from error
        finally:
            self._watchdog.loading = None

    async def lost(self) -> str:
        """Wait until the worker has crashed, or was killed because it hung; why."""
        return await asyncio.shield(self._watching)

    async def _close(self) -> None:
        self._watching.cancel()
        self.client.shut_down(self._drain.farewell())
        try:
            await self._drain.until_cut_short(self._worker.end(EXIT_SECONDS))
        finally:
            await self.client.close()

    async def _watch(self) -> str:
        closing = asyncio.create_task(self.client.wait_closed())
        while not closing.done():
            await asyncio.wait([closing], timeout=self._watchdog.interval)
            stopped = self._watchdog.is_wary and await asyncio.to_thread(self._worker.is_stopped)
            client = self.client
            verdict = self._watchdog.look(client.heartbeats, client.engine_load, stopped=stopped)
            if verdict is not None and not closing.done():
                reason = f"The request was lost: {verdict}. Try again."
                await self.client.close(EngineRestarted(reason, retry_after=RETRY_AFTER_SECONDS))
                await self._worker.end(0)
                return verdict
        await self._worker.end(EXIT_SECONDS)
        return await self._worker.wait()


async def _connect(worker: WorkerProcess) -> WorkerClient:
    """Connect to a worker that may still be starting. Raises WorkerLost."""
    connecting = asyncio.create_task(WorkerClient.connect(worker.address))
    exiting = asyncio.create_task(worker.wait())
    try:
        await asyncio.wait(
            [connecting, exiting], timeout=CONNECT_SECONDS, return_when=FIRST_COMPLETED
        )
        if connecting.done():
            return connecting.result()
        if exiting.done():
            raise WorkerLost(exiting.result())
        raise WorkerLost(f"the worker did not listen within {CONNECT_SECONDS:g} s")
    except asyncio.CancelledError:
        if connecting.done():
            await connecting.result().close()
        raise
    finally:
        connecting.cancel()
        exiting.cancel()
