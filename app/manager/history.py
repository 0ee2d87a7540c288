"""What models have gone through since the server started, in numbers that only grow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from codeserve.app.distribution import SECONDS_OF_LOADING, Distribution
from codeserve.app.manager.room import EVICTED
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.types import EngineLoad
from codeserve.engines.worker.client import WorkerClient


class ModelHistory:
    """Of all models that have had one id."""

    def __init__(self) -> None:
        self.load_seconds = Distribution(SECONDS_OF_LOADING)
        """From the start of loading to READY, of each time that the model became READY."""
        self.evictions = 0
        """Times that it was unloaded because others needed its memory."""
        self.restarts = 0
        """Workers started in the place of one that was lost."""
        self.downloaded_bytes = 0
        """Of weights; what an interrupted download had brought counts again with its resumption."""
        self._loading_since: float | None = None
        self._clients: set[WorkerClient] = set()
        self._ended = WorkerCounts()

    def follow(self, before: ModelStatus, after: ModelStatus, reason: str) -> None:
        """The model has gone on."""
        self.restarts += max(0, after.restarts - before.restarts)
        self.downloaded_bytes += max(0, (after.bytes_done or 0) - (before.bytes_done or 0))
        if before.state is not after.state:
            self._enter(after.state, reason)

    @contextmanager
    def worker(self, client: WorkerClient) -> Iterator[None]:
        """The worker behind ``client`` belongs to the model as long as the context lasts."""
        self._clients.add(client)
        try:
            yield
        finally:
            self._clients.remove(client)
            self._ended.add(client.engine_load)

    @property
    def counts(self) -> "WorkerCounts":
        """What its workers have counted up to their last heartbeats, those that are gone too."""
        counts = WorkerCounts()
        counts.add(self._ended)
        for client in self._clients:
            counts.add(client.engine_load)
        return counts

    def _enter(self, state: ModelState, reason: str) -> None:
        if state is ModelState.LOADING:
            self._loading_since = self._loading_since or time.monotonic()
        elif state is ModelState.READY and self._loading_since is not None:
            self.load_seconds.add(time.monotonic() - self._loading_since)
        if state is not ModelState.LOADING and state is not ModelState.PROVING:
            self._loading_since = None
        if state is ModelState.DRAINING and reason == EVICTED:
            self.evictions += 1


class WorkerCounts:
    """The counters of ``EngineLoad``, of any number of workers."""

    def __init__(self) -> None:
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.drafts_proposed = 0
        self.drafts_accepted = 0

    def add(self, other: "EngineLoad | WorkerCounts") -> None:
        """Add what ``other`` has counted."""
        self.prefix_queries += other.prefix_queries
        self.prefix_hits += other.prefix_hits
        self.drafts_proposed += other.drafts_proposed
        self.drafts_accepted += other.drafts_accepted


class Histories(dict[str, ModelHistory]):
    """The histories of all models that the server has had, by id."""

    def of(self, model_id: str) -> ModelHistory:
        """That of a model, which begins now if it is new."""
        return self.setdefault(model_id, ModelHistory())
