"""All workers of one model, as one."""

import asyncio
from collections.abc import Callable, Sequence

from codeserve.app.manager.replica import Replica
from codeserve.app.manager.routing import PrefixRouter
from codeserve.app.manager.status import ModelState
from codeserve.engines.errors import EngineRestarted
from codeserve.engines.types import EngineInfo, TextRequest
from codeserve.engines.worker.client import RETRY_AFTER_SECONDS, WorkerClient

FURTHEST = (
    ModelState.READY,
    ModelState.PROVING,
    ModelState.RESTARTING,
    ModelState.LOADING,
    ModelState.FAILED,
)
"""Which replica's state is the model's."""

MakeReplica = Callable[[int, Callable[[Replica], None]], Replica]
"""Makes the replica of an index, which tells whenever its status has changed."""


class Replicas:
    """Runs a model's replicas side by side and says which one gets a request."""

    def __init__(self, count: int, make: MakeReplica, changed: Callable[[], None]) -> None:
        """``changed`` is called whenever the status of one has changed."""
        self._router = PrefixRouter(count)
        self._changed = changed
        self._complete = asyncio.Event()
        self._replicas = tuple(make(index, self._note) for index in range(count))

    async def run(self) -> None:
        """Keep the workers running; return when every replica has FAILED."""
        async with asyncio.TaskGroup() as tasks:
            for replica in self._replicas:
                tasks.create_task(replica.run())

    async def all_ready(self) -> None:
        """Wait until every replica has been ready at the same time."""
        await self._complete.wait()

    @property
    def leader(self) -> Replica:
        """The one that is furthest."""
        return min(self._replicas, key=lambda replica: FURTHEST.index(replica.status.state))

    @property
    def state(self) -> ModelState:
        """READY while at least one is; FAILED when all have."""
        return self.leader.status.state

    @property
    def error(self) -> str | None:
        """Why one failed, or why a worker was replaced."""
        return next((one.status.error for one in self._replicas if one.status.error), None)

    @property
    def restarts(self) -> int:
        """Workers started after the first ones."""
        return sum(replica.status.restarts for replica in self._replicas)

    @property
    def info(self) -> EngineInfo | None:
        """What was loaded."""
        return self.leader.status.info

    @property
    def clients(self) -> Sequence[WorkerClient | None]:
        """The connection of each; None: it is not ready."""
        return tuple(replica.client for replica in self._replicas)

    @property
    def stalled(self) -> str | None:
        """How long those that are ready have stood still; None: one of them works."""
        ready = [replica.stalled for replica in self._replicas if replica.client is not None]
        return next(filter(None, ready), None) if all(ready) else None

    @property
    def pids(self) -> Sequence[int]:
        """The processes of those that are ready."""
        return tuple(replica.pid for replica in self._replicas if replica.pid is not None)

    def client(self) -> WorkerClient:
        """The connection to one that is ready, and works where one does. Raises EngineRestarted if
        none is."""
        working = (replica.client for replica in self._replicas if replica.stalled is None)
        ready = next(filter(None, (*working, *self.clients)), None)
        if ready is not None:
            return ready
        raise EngineRestarted(
            "The worker process ended and is being replaced. Try again.",
            retry_after=RETRY_AFTER_SECONDS,
        )

    def choose(self, request: TextRequest) -> WorkerClient:
        """The connection to the one that shall serve ``request``. Raises EngineRestarted."""
        clients = self.clients
        if len(clients) == 1 or not any(clients):
            return self.client()
        loads = [None if client is None else client.requests for client in clients]
        stalled = [index for index, one in enumerate(self._replicas) if one.stalled is not None]
        chosen = self._router.choose(request.prompt, request.cache_salt, loads, stalled)
        return clients[chosen] or self.client()

    def _note(self, replica: Replica) -> None:
        if replica.status.state in (ModelState.RESTARTING, ModelState.FAILED):
            self._router.forget(self._replicas.index(replica))
        if all(self.clients):
            self._complete.set()
        self._changed()
