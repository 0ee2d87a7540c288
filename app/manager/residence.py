"""One stay of a model in memory: its weights fetched, room given, its workers run and measured."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from codeserve.app.manager import weights
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.needs import needs_of
from codeserve.app.manager.placement import Placement
from codeserve.app.manager.replica import Replica
from codeserve.app.manager.replicas import Replicas
from codeserve.app.manager.resolution import Resolution
from codeserve.app.manager.restarts import Backoff
from codeserve.app.manager.room import Tenant
from codeserve.app.manager.session import Session
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.manager.status_board import StatusBoard
from codeserve.app.manager.surroundings import Surroundings
from codeserve.app.manager.watchdog import Watchdog
from codeserve.app.memory.requirement import Requirement
from codeserve.engines.errors import ModelLoadError

WAITING = "waiting for memory"
"""The phase of a model that others leave no room for."""

logger = logging.getLogger(__name__)


class Residence:
    """Moves the status from where it is to READY, and on as workers come and go."""

    def __init__(
        self,
        tenant: Tenant,
        resolution: Resolution,
        placements: Sequence[Placement],
        surroundings: Surroundings,
        board: StatusBoard,
        log: Callable[[str], None],
    ) -> None:
        """``tenant``: the model. ``log`` is given every line that a worker writes."""
        self.replicas: Replicas | None = None
        """The workers, once there is room for them."""
        self.served: LeasedModel | None = None
        """What requests use, once the model is READY."""
        self._tenant = tenant
        self._resolution = resolution
        self._placements = placements
        self._surroundings = surroundings
        self._board = board
        self._log = log
        self._restarts = board.status.restarts

    def report(self, status: ModelStatus) -> ModelStatus:
        """``status`` with what the workers are doing."""
        if self.replicas is None:
            return status
        loads = [client.engine_load for client in self.replicas.clients if client is not None]
        return replace(
            status,
            replicas_ready=len(loads),
            stalled=self.replicas.stalled,
            running=sum(load.running for load in loads),
            waiting=status.waiting + sum(load.waiting for load in loads),
            waiting_tokens=sum(load.waiting_tokens for load in loads),
            oldest_wait=max((status.oldest_wait, *(load.oldest_wait for load in loads))),
            kv_tokens=sum(load.kv_tokens for load in loads),
            kv_tokens_running=sum(load.kv_tokens_running for load in loads),
        )

    def retire(self) -> None:
        """Have the status go its own way, whatever the workers do until they are gone."""
        self.replicas = self.served = None

    async def run(self) -> None:
        """Serve until it is cancelled; no worker is left then.

        Raises ModelLoadError when that is of no use, RoomRefused where others have the room.
        """
        await asyncio.to_thread(self._resolution.check_interpreter)
        path = await self._fetch()
        planner, room = self._surroundings.planner, self._surroundings.room
        requirement = await asyncio.to_thread(planner.requirement, self._resolution, path)
        self._board.update(replace(self._board.status, phase=WAITING))
        async with room.hold(self._tenant, needs_of(requirement, self._placements)):
            self._estimate(requirement)
            try:
                await self._serve(path)
            finally:
                self._board.update(replace(self._board.status, memory_bytes=None))

    async def _fetch(self) -> Path:
        """Bring the weights onto this machine. Raises ModelLoadError."""
        resolution, store = self._resolution, self._surroundings.store
        path = await weights.find(resolution, store)
        if path is not None:
            return path
        self._board.move(ModelState.PULLING)
        path = await weights.pull(resolution, store, self._report_download)
        if self._tenant.waits_for_requests:
            self._board.move(ModelState.UNLOADED)
        return path

    def _report_download(self, done: int, total: int | None) -> None:
        if self._board.state is ModelState.PULLING:
            progress = done / total if total else None
            self._board.update(
                replace(
                    self._board.status,
                    phase="downloading",
                    progress=progress,
                    bytes_done=done,
                    bytes_total=total,
                )
            )

    async def _serve(self, path: Path) -> None:
        """Run the workers. Raises ModelLoadError when every replica has failed."""
        replicas = self.replicas = Replicas(
            len(self._placements), partial(self._replica, path), self._follow
        )
        measuring = asyncio.create_task(self._measure(path, replicas))
        try:
            await replicas.run()
        finally:
            measuring.cancel()
            self.replicas = self.served = None
        raise ModelLoadError(replicas.error or "No worker is left.")

    def _replica(self, path: Path, index: int, changed: Callable[[Replica], None]) -> Replica:
        server, placement = self._surroundings.server, self._placements[index]
        settings = self._resolution.settings

        @asynccontextmanager
        async def open_session() -> AsyncIterator[Session]:
            watchdog = Watchdog(
                heartbeat_timeout=server.heartbeat_timeout,
                stall_timeout=server.stall_timeout,
                load_stall_timeout=settings.load_stall_timeout,
            )
            async with Session.open(
                self._surroundings.launcher,
                self._resolution.choice,
                placement,
                self._log,
                watchdog,
                self._surroundings.drain,
            ) as session:
                with self._surroundings.histories.of(self._tenant.id).worker(session.client):
                    yield session

        admission = self._tenant.leases.admission
        config = replace(
            self._resolution.config(path, placement),
            max_waiting=admission.most - settings.max_concurrency,
            max_waiting_tokens=admission.waiting_tokens,
        )
        return Replica(open_session, config, Backoff(self._surroundings.policy), changed)

    def _follow(self) -> None:
        """Have the status say what the replicas, together, are doing."""
        replicas, board = self.replicas, self._board
        if replicas is None or board.state is ModelState.DRAINING:
            return
        then, leader = replicas.state, replicas.leader.status
        if then is ModelState.FAILED:
            return
        if board.state is ModelState.READY and then is not ModelState.READY:
            self.served = None
            board.move(ModelState.RESTARTING, error=replicas.error)
        if then is ModelState.READY and self.served is None and leader.info is not None:
            self.served = LeasedModel(self._tenant.id, leader.info, replicas, self._tenant.leases)
        board.update(
            replace(
                board.status,
                info=leader.info or board.status.info,
                error=replicas.error or board.status.error,
                restarts=self._restarts + replicas.restarts,
            )
        )
        if then is not board.state:
            board.move(then)
        board.update(replace(board.status, phase=leader.phase, progress=leader.progress))

    def _estimate(self, requirement: Requirement) -> None:
        total = requirement.total
        estimated = None if total is None else total * len(self._placements)
        self._board.update(replace(self._board.status, memory_bytes=estimated))

    async def _measure(self, path: Path, replicas: Replicas) -> None:
        """See what the workers really take, once all are ready."""
        planner = self._surroundings.planner
        await replicas.all_ready()
        try:
            taken = await asyncio.to_thread(planner.record, self._resolution, path, replicas.pids)
            requirement = await asyncio.to_thread(planner.requirement, self._resolution, path)
        except Exception:
            logger.exception("the memory of %s cannot be measured", self._tenant.id)
            return
        if taken is not None:
            self._board.update(replace(self._board.status, memory_bytes=taken))
        needs = needs_of(requirement, self._placements)
        self._surroundings.room.resize(self._tenant.id, needs)
