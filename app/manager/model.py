"""One model's life: fetched, given room, loaded, lent, unloaded, drained."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from codeserve.app.manager.admission import Admission
from codeserve.app.manager.journal import Journal
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.leases import Leases
from codeserve.app.manager.placement import Placement
from codeserve.app.manager.residence import Residence
from codeserve.app.manager.residency import Resident
from codeserve.app.manager.resolution import Resolution
from codeserve.app.manager.room import RoomRefused
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.manager.status_board import Changed, StatusBoard
from codeserve.app.manager.surroundings import Surroundings
from codeserve.app.manager.worker_log import WorkerLine
from codeserve.engines.errors import InvalidRequest, ModelLoadError, ModelUnavailable

LOG_LINES = 1000
TAIL_LINES = 50
"""Of the log, in the status."""
logger = logging.getLogger(__name__)


class ManagedModel:
    """A launched model. While it is loaded, or being loaded, a task of its own keeps it so.

    The task fetches the weights, waits for room and runs the replicas; it ends when the model is
    unloaded, restarted, stopped, or fails.
    """

    def __init__(
        self,
        resolution: Resolution,
        placements: Sequence[Placement],
        surroundings: Surroundings,
        changed: Changed,
    ) -> None:
        """``changed`` hears of every step. Needs a running event loop."""
        settings = resolution.settings
        self.id = settings.id
        self.settings = settings
        self.leases = Leases(Admission.of(settings, surroundings.server, len(placements)))
        self.log = Journal[str](LOG_LINES)
        self._resolution = resolution
        self._placements = placements
        self._surroundings = surroundings
        self._board = StatusBoard.at_launch(resolution, len(placements), self._note)
        self._logger = logging.LoggerAdapter(logger, {"model": settings.id})
        self._changed = changed
        self._history = surroundings.histories.of(settings.id)
        self._closed = False
        self._residence: Residence | None = None
        self._life: asyncio.Task[None] | None = None
        self._leaving = asyncio.Lock()
        self._departures: list[asyncio.Task[None]] = []
        self._stopping: asyncio.Task[None] | None = None

    @property
    def status(self) -> ModelStatus:
        """Where the model stands now; from memory."""
        status = replace(
            self._board.status,
            log_tail=tuple(self.log.recent(TAIL_LINES)),
            waiting=self.leases.waiting,
            oldest_wait=self.leases.oldest_wait,
            last_used=self.leases.last_used_at,
        )
        return status if self._residence is None else self._residence.report(status)

    @property
    def state(self) -> ModelState:
        """The state of the status."""
        return self._board.state

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more unless somebody asks for it."""
        return self.state in (ModelState.FAILED, ModelState.STOPPED)

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` has been called."""
        return self._stopping is not None

    def begin(self) -> None:
        """Set out from PENDING, once."""
        if self.settings.load == "on_demand":
            self._rest()
        else:
            self._load()

    async def settled(self) -> ModelStatus:
        """Wait until the model is READY, UNLOADED, FAILED or STOPPED."""
        await self._board.settled()
        return self.status

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[LeasedModel]:
        """Use the model for one request, once it is loaded where it loads for requests.

        Raises QueueFull where as many requests as may be there use it or wait, and
        ModelUnavailable where it does not load, and after ``load_timeout`` seconds.
        """
        if self.state is ModelState.READY and not self._closed:
            self.leases.take()
        else:
            await self._wait_for_lease()
        self._surroundings.room.lease_changed()
        try:
            yield self._served()
        finally:
            self.leases.give_back()
            self._surroundings.room.lease_changed()

    def pin(self, pinned: bool) -> None:
        """Keep the model loaded from now on, or let it go when it is idle."""
        self._board.update(replace(self._board.status, pinned=pinned))
        self._surroundings.room.review()

    def unload(self, reason: str) -> None:
        """Begin to give the memory back until the next request; ``settled`` says when it is done.

        Does nothing where nothing is loaded. Raises InvalidRequest where the model is pinned, in
        use or on its way to another state.
        """
        leaving = self.state is ModelState.DRAINING and self.waits_for_requests
        if leaving or self.ended or self.state is ModelState.UNLOADED:
            return
        hindrance = self._hindrance()
        if hindrance is not None:
            raise InvalidRequest(f"The model {self.id!r} cannot be unloaded: {hindrance}.")
        self._depart(ModelState.UNLOADED, reason)

    def restart(self) -> None:
        """Begin again as when it was launched, after what is leased has ended."""
        self._depart(ModelState.PENDING, "restarted")

    async def stop(self) -> None:
        """Refuse new leases, let leased requests finish within the time to drain, end the workers.

        Legal in every state, and more than once.
        """
        if self._stopping is None:
            self._stopping = self._depart(ModelState.STOPPED, "terminated")
            self.leases.refuse(self._board.unavailable())
        await asyncio.shield(self._stopping)
        self.log.close()

    @property
    def waits_for_requests(self) -> bool:
        """It is loaded for the requests that wait, and for nobody else."""
        return self._board.rest is ModelState.UNLOADED

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without a request after which it is unloaded; None: never."""
        return self.settings.idle_timeout or self._surroundings.server.idle_timeout

    def resident(self, needs: Mapping[str, int]) -> Resident:
        """What the policy must know of the model while it takes room."""
        return Resident(
            id=self.id,
            needs=needs,
            pinned=self._board.status.pinned,
            leases=self.leases.held,
            settled=self.state is ModelState.READY,
            leaving=self.state is ModelState.DRAINING or self.stopping,
            since=self._board.since,
            last_used=max(self._board.since, self.leases.last_used or 0.0),
        )

    def set_closed(self, closed: bool) -> None:
        """Whether requests wait although the model is READY, so that others get their turn."""
        self._closed = closed
        if self.state is ModelState.READY and not closed:
            self.leases.grant()

    def _note(self, before: ModelStatus, after: ModelStatus, reason: str) -> None:
        """Tell of a step, and let those in who have waited for it."""
        self._history.follow(before, after, reason)
        if before.state is not after.state:
            self._surroundings.room.review()
            if after.state is ModelState.READY:
                self._closed = False
                self.leases.grant()
        self._changed(before, after, reason)

    def _rest(self) -> None:
        """Be UNLOADED until somebody asks for the model."""
        self._board.move(ModelState.UNLOADED, reason="until the next request")
        if self.leases.waiting:
            self._load()

    def _load(self) -> None:
        """Load the model, unless that is being done."""
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        self._residence = Residence(
            self, self._resolution, self._placements, self._surroundings, self._board, self._log
        )
        try:
            await self._residence.run()
        except RoomRefused as error:
            self._give_up(error.message)
        except ModelLoadError as error:
            self._fail(error.message)
        except Exception as error:
            self._logger.exception("supervision failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._residence = None

    def _give_up(self, reason: str) -> None:
        """There is no room: a model that was launched to be loaded fails, another may be asked
        for again."""
        if self.waits_for_requests:
            self.leases.refuse(ModelUnavailable(reason, param="model", retry_after=30.0))
        else:
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._logger.error("the model failed: %s", reason)
        if self.state is not ModelState.DRAINING:
            self._board.move(ModelState.FAILED, error=reason)
            self.leases.refuse(self._board.unavailable())

    def _depart(self, towards: ModelState, reason: str) -> asyncio.Task[None]:
        """Take no new leases from now on; the task ends when the model has got to ``towards``, or
        has been sent elsewhere meanwhile."""
        if self.state is ModelState.READY:
            self._board.move(ModelState.DRAINING, reason=reason, towards=towards)
        elif self.state is not ModelState.DRAINING:
            self._end_life()
        departure = asyncio.create_task(self._leave(towards, reason))
        self._departures.append(departure)
        departure.add_done_callback(self._departures.remove)
        return departure

    async def _leave(self, towards: ModelState, reason: str) -> None:
        async with self._leaving:
            if self.state is ModelState.DRAINING:
                patience = self._surroundings.server.drain_timeout
                await self._surroundings.drain.until_over(self.leases.unused(patience))
            self._end_life()
            if self._life is not None:
                await asyncio.wait([self._life])
            if asyncio.current_task() is not self._departures[-1]:
                return
            if towards is ModelState.UNLOADED:
                self._rest()
                return
            self._board.move(towards, reason=reason)
            if towards is ModelState.PENDING:
                self.begin()

    def _end_life(self) -> None:
        """Cancel what keeps the model loaded, once, so that its own ending is not cut short."""
        if self._residence is not None:
            self._residence.retire()
        if self._life is not None and not self._life.cancelling():
            self._life.cancel()

    def _served(self) -> LeasedModel:
        """What a lease lends. Raises ModelUnavailable where a worker was lost meanwhile."""
        served = None if self._residence is None else self._residence.served
        if served is None:
            raise self._board.unavailable()
        return served

    def _log(self, line: str) -> None:
        self.log.write(line)
        level, text = WorkerLine.parse(line)
        self._logger.log(level, "worker: %s", text)

    async def _wait_for_lease(self) -> None:
        """Hold a lease as soon as the model is loaded. Raises QueueFull and ModelUnavailable."""
        is_ready = self.state is ModelState.READY
        if self.stopping or not (is_ready or self.waits_for_requests):
            raise self._board.unavailable()
        patience = self._surroundings.server.load_timeout
        if self.state is ModelState.UNLOADED:
            self._load()
        self._surroundings.room.review()
        try:
            await self.leases.wait(patience)
        except TimeoutError as error:
            late = f"was not loaded within {patience:g} s"
            raise self._board.unavailable(late) from error

    def _hindrance(self) -> str | None:
        """Why it cannot be unloaded now; None: it can."""
        if self.state is not ModelState.READY:
            return f"it is {self._board.describe()}"
        if self._board.status.pinned:
            return "it is pinned; unpin it first"
        if self.leases.held:
            requests = f"{self.leases.held} request{'s' * (self.leases.held > 1)}"
            return f"it is in use by {requests}; wait for the end, or terminate it"
        return None
