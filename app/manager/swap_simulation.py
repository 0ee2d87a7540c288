"""What the residency policy does to requests, played in virtual time.

Proves the policy in tests and shows its worth in ``benchmarks/swapping.py``; no server uses it.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

import msgspec

from codeserve.app.manager.residency import Decision, Limits, Resident, Wish, decide


class SimulatedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that serves any number of requests at once."""

    id: str
    needs: Mapping[str, int]
    load_seconds: float
    unload_seconds: float = 0.0
    pinned: bool = False


class SimulatedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for ``model`` that comes at second ``at`` and is served in ``seconds``."""

    at: float
    model: str
    seconds: float


@dataclass(slots=True)
class Trace:
    """What happened."""

    waits: dict[int, float] = field(default_factory=dict)
    """Seconds until the request of that index was being served."""
    refused: set[int] = field(default_factory=set)
    """Requests that were told that their model cannot be loaded."""
    loads: int = 0
    evictions: int = 0
    ended: float = 0.0
    """When the last request was served."""


class _State(Enum):
    ABSENT = auto()
    LOADING = auto()
    READY = auto()
    LEAVING = auto()


@dataclass(slots=True)
class _Copy:
    """A model as it stands."""

    model: SimulatedModel
    state: _State = _State.ABSENT
    leases: int = 0
    since: float = 0.0
    last_used: float = 0.0
    waiting: deque[int] = field(default_factory=deque)

    def resident(self) -> Resident:
        return Resident(
            id=self.model.id,
            needs=self.model.needs,
            pinned=self.model.pinned,
            leases=self.leases,
            settled=self.state is _State.READY,
            leaving=self.state is _State.LEAVING,
            since=self.since,
            last_used=self.last_used,
        )


class SwapSimulation:
    """Models that share the memory, and the requests for them."""

    def __init__(
        self,
        models: Sequence[SimulatedModel],
        limits: Limits,
        *,
        in_order: bool = False,
        watch: Callable[[Sequence[Resident], Sequence[Wish], Decision], None] | None = None,
    ) -> None:
        """``in_order``: serve the requests in the order in which they come, whatever is loaded.

        ``watch`` is told every decision and what it was made from.
        """
        self._copies = {model.id: _Copy(model) for model in models}
        self._limits = limits
        self._in_order = in_order
        self._watch = watch
        self._now = 0.0
        self._closed: frozenset[str] = frozenset()
        self._requests: Sequence[SimulatedRequest] = ()
        self._trace = Trace()
        self._numbers = itertools.count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []

    def run(self, requests: Sequence[SimulatedRequest]) -> Trace:
        """Play ``requests`` until nothing happens any more."""
        self._requests = requests
        for index, request in enumerate(requests):
            self._at(request.at, partial(self._arrive, index))
        while self._coming:
            self._now = self._coming[0][0]
            while self._coming and self._coming[0][0] <= self._now:
                heapq.heappop(self._coming)[2]()
            self._settle()
        return self._trace

    def _at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (time, next(self._numbers), action))

    def _arrive(self, index: int) -> None:
        self._copies[self._requests[index].model].waiting.append(index)

    def _settle(self) -> None:
        """Serve and decide until neither changes anything at this moment."""
        while True:
            self._serve()
            decision = self._decide()
            self._apply(decision)
            opened = self._closed - decision.close
            self._closed = decision.close
            if not opened and not decision.refuse:
                break
        if decision.again is not None:
            self._at(self._now + decision.again, lambda: None)

    def _serve(self) -> None:
        for copy in self._copies.values():
            while copy.waiting and self._may_serve(copy):
                self._lease(copy, copy.waiting.popleft())

    def _may_serve(self, copy: _Copy) -> bool:
        if copy.state is not _State.READY or copy.model.id in self._closed:
            return False
        return not self._in_order or copy.waiting[0] == self._first()

    def _lease(self, copy: _Copy, index: int) -> None:
        request = self._requests[index]
        self._trace.waits[index] = self._now - request.at
        copy.leases += 1
        copy.last_used = self._now

        def give_back() -> None:
            copy.leases -= 1
            copy.last_used = self._trace.ended = self._now

        self._at(self._now + request.seconds, give_back)

    def _decide(self) -> Decision:
        residents = [
            copy.resident() for copy in self._copies.values() if copy.state is not _State.ABSENT
        ]
        wishes = [
            Wish(
                id=copy.model.id,
                needs=copy.model.needs,
                since=self._requests[copy.waiting[0]].at,
                requests=len(copy.waiting),
            )
            for copy in self._copies.values()
            if copy.waiting and (not self._in_order or copy.waiting[0] == self._first())
        ]
        decision = decide(self._now, residents, wishes, self._limits)
        if self._watch is not None:
            self._watch(residents, wishes, decision)
        return decision

    def _first(self) -> int:
        """The request that has waited longest."""
        return min(copy.waiting[0] for copy in self._copies.values() if copy.waiting)

    def _apply(self, decision: Decision) -> None:
        for name in decision.load:
            copy = self._copies[name]
            copy.state = _State.LOADING
            self._trace.loads += 1
            self._at(self._now + copy.model.load_seconds, partial(self._ready, copy))
        for name in decision.evict:
            copy = self._copies[name]
            copy.state = _State.LEAVING
            self._trace.evictions += 1
            self._at(self._now + copy.model.unload_seconds, partial(self._gone, copy))
        for name in decision.refuse:
            self._trace.refused.update(self._copies[name].waiting)
            self._copies[name].waiting.clear()

    def _ready(self, copy: _Copy) -> None:
        copy.state = _State.READY
        copy.since = copy.last_used = self._now

    def _gone(self, copy: _Copy) -> None:
        copy.state = _State.ABSENT
