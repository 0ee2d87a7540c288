"""Which cells of the KV cache hold the tokens of which slot."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class CellMap:
    """Places the tokens of slots in numbered cells; slots may share cells.

    What is contiguous is attended to where it lies, and anything else must be copied together
    first. So a slot grows at its end while the next cell is free, and a new one starts where it has
    most room to grow.
    """

    def __init__(self, cells: int, slots: int) -> None:
        """``cells`` and ``slots``: how many there are."""
        self._users = np.zeros(cells, np.int32)
        self._runs: list[list[Run]] = [[] for _ in range(slots)]
        self._first = [0] * slots

    def runs(self, slot: int) -> list[Run]:
        """The cells of ``slot``, by position."""
        return self._runs[slot]

    def length(self, slot: int) -> int:
        """How many tokens ``slot`` holds."""
        return sum(map(len, self._runs[slot]))

    def begin(self, slot: int, position: int) -> None:
        """Let the tokens of the empty ``slot`` begin at ``position``, until it is empty again."""
        self._first[slot] = position

    def append(self, slot: int, tokens: int) -> list[Run]:
        """Free cells for the next ``tokens`` of ``slot``, which are its own from now on.

        Raises MemoryError if there are not so many.
        """
        taken = []
        while tokens:
            run = self._next_run(self._runs[slot], tokens)
            self._use([run], 1)
            self._runs[slot] = _joined([*self._runs[slot], run])
            taken.append(run)
            tokens -= len(run)
        return taken

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` from ``start`` to ``end``, instead of any
        that it has there."""
        shared = self.cut(source, start, end)
        old = self._runs[target]
        self._use(shared, 1)
        self._use(_cut(old, start, end), -1)
        rest = _cut(old, end, self._users.size)
        self._runs[target] = _joined([*_cut(old, 0, start), *shared, *rest])

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""
        kept = self.cut(slot, 0, length)
        self._use(_cut(self._runs[slot], sum(map(len, kept)), self._users.size), -1)
        self._runs[slot] = kept
        if not kept:
            self._first[slot] = 0

    def cut(self, slot: int, start: int, end: int) -> list[Run]:
        """The cells of ``slot`` from position ``start`` to ``end``."""
        first = self._first[slot]
        return _cut(self._runs[slot], start - first, end - first)

    def _use(self, runs: Iterable[Run], change: int) -> None:
        for run in runs:
            self._users[run.start : run.end] += change

    def _next_run(self, runs: list[Run], tokens: int) -> Run:
        """Up to ``tokens`` free cells right after ``runs``, else in the widest gap."""
        if runs:
            start = runs[-1].end
            used = self._users[start : start + tokens] > 0
            free = int(used.argmax()) if used.any() else used.size
            if free:
                return Run(start, start + free)
        gap = self._widest_gap()
        start = gap.start + (max(0, len(gap) - tokens) // 2 if gap.start else 0)
        return Run(start, min(gap.end, start + tokens))

    def _widest_gap(self) -> Run:
        free = np.concatenate(([False], self._users == 0, [False]))
        edges = np.flatnonzero(free[1:] != free[:-1])
        if not edges.size:
            raise MemoryError("every cell of the KV cache is in use")
        starts, ends = edges[::2], edges[1::2]
        widest = int((ends - starts).argmax())
        return Run(int(starts[widest]), int(ends[widest]))


def _cut(runs: Iterable[Run], start: int, end: int) -> list[Run]:
    """The cells of ``runs`` from the one at ``start`` to that before ``end``."""
    position, kept = 0, []
    for run in runs:
        first = run.start + max(0, start - position)
        last = min(run.end, run.start + end - position)
        if first < last:
            kept.append(Run(first, last))
        position += len(run)
    return kept


def _joined(runs: Iterable[Run]) -> list[Run]:
    """The same cells in as few runs as possible."""
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].end == run.start:
            joined[-1] = Run(joined[-1].start, run.end)
        else:
            joined.append(run)
    return joined
