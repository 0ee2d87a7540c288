"""A model without arithmetic: the next token is a hash of the tokens that its cache holds.

Whatever shares, moves or drops cells wrongly changes its output or breaks one of its assertions.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.drafting import Drafter
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.step_backend import Chunk
from codeserve.engines.types import GenerationRequest

VOCAB = 6


def continuation(prompt: Sequence[int], tokens: int, repeat_from: int | None = None) -> list[int]:
    """What follows ``prompt``, computed without any cache."""
    known = list(prompt)
    for _ in range(tokens):
        known.append(next_token(known, repeat_from))
    return known[len(prompt) :]


def next_token(known: Sequence[int], repeat_from: int | None = None) -> int:
    """Depends on every token and its position; a repeating model copies what came a period ago."""
    if repeat_from is not None and len(known) > repeat_from:
        return known[-repeat_from]
    return zlib.crc32(bytes(known)) % VOCAB


@dataclass(frozen=True)
class Cell:
    """The place of one token; cells are told apart by identity."""

    token_id: int
    position: int
    number: int


class ReferenceBackend:
    """Implements the parts of ``StepBackend`` that a scheduler and a prefix cache use."""

    def __init__(
        self,
        cells: int,
        slots: int,
        *,
        settings: BatchingSettings,
        drafter: Drafter | None = None,
        can_share: bool = True,
        repeat_from: int | None = None,
    ) -> None:
        self.cells = cells
        self.slots = slots
        self.can_share = can_share
        self.batching = settings
        self.drafter = drafter
        self._repeat_from = repeat_from
        self._rows: list[list[Cell]] = [[] for _ in range(slots)]
        self._numbers = 0
        self._open: set[int] = set()
        self.computed_tokens = 0
        self.steps = 0

    @property
    def cells_used(self) -> int:
        return len({cell for row in self._rows for cell in row})

    @property
    def cells_open(self) -> int:
        return len({cell for slot in self._open for cell in self._rows[slot]})

    @property
    def slots_used(self) -> int:
        return sum(bool(row) for row in self._rows)

    @property
    def slots_open(self) -> int:
        return len(self._open)

    def tokens_in(self, slot: int) -> list[int]:
        return [cell.token_id for cell in self._rows[slot]]

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        assert self.can_share
        assert source != target
        assert 0 <= start < end
        shared = [cell for cell in self._rows[source] if start <= cell.position < end]
        assert [cell.position for cell in shared] == list(range(start, end))
        row = self._rows[target]
        assert len(row) >= start
        before, after = row[:start], row[end:]
        replaced = [cell.token_id for cell in row[start:end]]
        assert replaced == [cell.token_id for cell in shared][: len(replaced)]
        self._rows[target] = before + shared + after

    def trim(self, slot: int, length: int) -> None:
        assert self.can_share or length == 0
        del self._rows[slot][length:]

    def save(self, slot: int, start: int, end: int) -> bytes:
        cells = [cell for cell in self._rows[slot] if start <= cell.position < end]
        assert len(cells) == end - start
        return start.to_bytes(4, "big") + bytes(cell.token_id for cell in cells)

    def restore(self, slot: int, data: bytes) -> bool:
        assert self._rows[slot] == []
        start = int.from_bytes(data[:4], "big")
        self._rows[slot] = [self._cell(t, start + i) for i, t in enumerate(data[4:])]
        return True

    def open(self, slot: int, request: GenerationRequest, constraint: Constraint | None) -> None:
        assert slot not in self._open
        self._open.add(slot)

    def close(self, slot: int) -> None:
        self._open.remove(slot)

    def step(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        assert 0 < sum(len(chunk.token_ids) for chunk in chunks) <= self.batching.batch_tokens
        assert sum(chunk.samples + chunk.drafts for chunk in chunks) <= self.batching.sampled_rows
        assert {chunk.slot for chunk in chunks} <= self._open
        assert len({chunk.slot for chunk in chunks}) == len(chunks)
        self.steps += 1
        sampled = [self._compute(chunk) for chunk in chunks]
        assert self.cells_used <= self.cells, "more cells than there are"
        return sampled

    def _compute(self, chunk: Chunk) -> Outcome:
        row = self._rows[chunk.slot]
        assert chunk.start == len(row), "positions are not consecutive"
        for index, token_id in enumerate(chunk.token_ids):
            row.append(self._cell(token_id, chunk.start + index))
        self.computed_tokens += len(chunk.token_ids)
        if not chunk.samples:
            return Outcome()
        known = self.tokens_in(chunk.slot)
        first = len(known) - chunk.drafts
        tokens = [next_token(known[:first], self._repeat_from)]
        while len(tokens) <= chunk.drafts and tokens[-1] == known[first + len(tokens) - 1]:
            tokens.append(next_token(known[: first + len(tokens)], self._repeat_from))
        return Outcome(tokens)

    def _cell(self, token_id: int, position: int) -> Cell:
        self._numbers += 1
        return Cell(token_id, position, self._numbers)
