"""Who is next: lanes, priorities, and the order in which requests are due."""

from bisect import insort
from collections.abc import Iterable, Mapping
from heapq import merge

from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.types import Lane

HANDICAPS: Mapping[Lane, int] = {Lane.INTERACTIVE: 0, Lane.NORMAL: 8192, Lane.BATCH: 65536}
"""Tokens of work by which a request of each lane is due later than its own work says."""


class LaneQueue:
    """Orders sequences by what is due first, in tokens of work (virtual deadlines, as in fair
    queueing), and queues those that have no slot.

    In a lane, those of a lower priority number go first, and among them the earliest due. Of the
    first of each lane the earliest due is next. When a sequence is due stands still, while the
    work done makes all that comes later due later; so a lane is overtaken for a bounded amount of
    work.
    """

    def __init__(self) -> None:
        self._due: dict[Sequence, int] = {}
        self._lanes: dict[Lane, list[Sequence]] = {lane: [] for lane in Lane}

    def __contains__(self, sequence: Sequence) -> bool:
        """Whether ``sequence`` has come and not left, queued or not."""
        return sequence in self._due

    def __len__(self) -> int:
        """How many are queued."""
        return sum(map(len, self._lanes.values()))

    def enter(self, sequence: Sequence, now: int, needed: int) -> None:
        """Queue ``sequence``, which needs so many tokens computed and comes at ``now``, counted in
        tokens."""
        lane = sequence.request.lane
        self._due[sequence] = now + needed + HANDICAPS[lane]
        insort(self._lanes[lane], sequence, key=self._rank)

    def pop(self) -> Sequence:
        """The next one, which is queued no more. Raises IndexError if none is."""
        heads = [lane[0] for lane in self._lanes.values() if lane]
        if not heads:
            raise IndexError("nothing is queued")
        first = min(heads, key=self._due.__getitem__)
        return self._lanes[first.request.lane].pop(0)

    def leave(self, sequence: Sequence) -> None:
        """Forget ``sequence``, queued or not."""
        del self._due[sequence]
        lane = self._lanes[sequence.request.lane]
        if sequence in lane:
            lane.remove(sequence)

    def in_order(self, sequences: Iterable[Sequence]) -> list[Sequence]:
        """``sequences`` that have come and not left, the first due first."""
        lanes: dict[Lane, list[Sequence]] = {}
        for sequence in sequences:
            insort(lanes.setdefault(sequence.request.lane, []), sequence, key=self._rank)
        return list(merge(*lanes.values(), key=self._due.__getitem__))

    def _rank(self, sequence: Sequence) -> tuple[int, int]:
        return sequence.request.priority, self._due[sequence]
