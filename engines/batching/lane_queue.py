"""Who is next: lanes, priorities, and the order in which requests are due."""

from bisect import insort
from collections.abc import Iterable, Mapping
from heapq import merge
from typing import Generic, Protocol, TypeVar

from codeserve.engines.types import GenerationRequest, Lane

HANDICAPS: Mapping[Lane, int] = {Lane.INTERACTIVE: 0, Lane.NORMAL: 8192, Lane.BATCH: 65536}
"""Tokens of work by which a request of each lane is due later than its own work says."""


class Entrant(Protocol):
    """What waits for a slot or has one; told apart by identity."""

    @property
    def request(self) -> GenerationRequest:
        """What it computes."""


E = TypeVar("E", bound=Entrant)


class LaneQueue(Generic[E]):
    """Orders entrants by what is due first, in tokens of work (virtual deadlines, as in fair
    queueing), and queues those that have no slot.

    In a lane, those of a lower priority number go first, and among them the earliest due. Of the
    first of each lane the earliest due is next. When a sequence is due stands still, while the
    work done makes all that comes later due later; so a lane is overtaken for a bounded amount of
    work.
    """

    def __init__(self) -> None:
        self._due: dict[E, int] = {}
        self._lanes: dict[Lane, list[E]] = {lane: [] for lane in Lane}

    def __contains__(self, entrant: E) -> bool:
        """Whether ``entrant`` has come and not left, queued or not."""
        return entrant in self._due

    def __len__(self) -> int:
        """How many are queued."""
        return sum(map(len, self._lanes.values()))

    def enter(self, entrant: E, now: int, needed: int) -> None:
        """Queue ``entrant``, which needs so many tokens computed and comes at ``now``, counted in
        tokens."""
        lane = entrant.request.lane
        self._due[entrant] = now + needed + HANDICAPS[lane]
        insort(self._lanes[lane], entrant, key=self._rank)

    def pop(self) -> E:
        """The next one, which is queued no more. Raises IndexError if none is."""
        heads = [lane[0] for lane in self._lanes.values() if lane]
        if not heads:
            raise IndexError("nothing is queued")
        first = min(heads, key=self._due.__getitem__)
        return self._lanes[first.request.lane].pop(0)

    def due(self, entrant: E) -> int:
        """When ``entrant``, which has come and not left, is due, counted in tokens."""
        return self._due[entrant]

    def leave(self, entrant: E) -> None:
        """Forget ``entrant``, queued or not."""
        del self._due[entrant]
        lane = self._lanes[entrant.request.lane]
        if entrant in lane:
            lane.remove(entrant)

    def in_order(self, entrants: Iterable[E]) -> list[E]:
        """``entrants`` that have come and not left, the first due first."""
        lanes: dict[Lane, list[E]] = {}
        for entrant in entrants:
            insort(lanes.setdefault(entrant.request.lane, []), entrant, key=self._rank)
        return list(merge(*lanes.values(), key=self._due.__getitem__))

    def _rank(self, entrant: E) -> tuple[int, int]:
        return entrant.request.priority, self._due[entrant]
