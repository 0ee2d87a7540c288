"""Which tokens each step computes: pure policy, without threads or a clock."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from codeserve.engines.batching.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tokens of one running sequence that one step computes."""

    sequence: Sequence
    slot: int
    start: int
    """Position of the first token."""
    token_ids: list[int]
    samples: bool
    """Whether the next token is sampled: the chunk reaches the end of the known tokens."""


class Scheduler:
    """First come, first served over a fixed number of slots.

    Each step computes one token of every decoding sequence and fills the rest of its token budget
    with prompts, oldest first, in chunks. So a long prompt never makes a running stream miss a
    step, and decoding never starves a prompt (continuous batching with chunked prefill,
    https://arxiv.org/abs/2308.16369).
    """

    def __init__(self, slots: int, step_tokens: int) -> None:
        """``step_tokens``: the most tokens of one step; at least one for each slot."""
        if not 1 <= slots <= step_tokens:
            raise ValueError(
                f"{slots} slots need steps of at least that many tokens, {step_tokens}"
            )
        self._step_tokens = step_tokens
        self._free = list(range(slots))
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def running(self) -> int:
        """Number of sequences that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Number of sequences that wait for a slot."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue ``sequence``."""
        self._waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Give free slots to waiting sequences; return those that got one."""
        admitted = []
        while self._free and self._waiting:
            sequence = self._waiting.popleft()
            sequence.slot = self._free.pop()
            self._running.append(sequence)
            admitted.append(sequence)
        return admitted

    def plan(self) -> list[Chunk]:
        """The chunks of the next step: decoding sequences first, then prompts by age."""
        budget = self._step_tokens
        chunks = []
        for sequence in sorted(self._running, key=lambda running: not running.is_decoding):
            if budget == 0:
                break
            chunk = _next_chunk(sequence, budget)
            chunks.append(chunk)
            budget -= len(chunk.token_ids)
        return chunks

    def apply(self, chunks: Iterable[Chunk], sampled: Iterable[int]) -> list[Sequence]:
        """Record a computed step; return the sequences that got a token.

        ``sampled`` holds one id for each chunk that samples, in order. Finished sequences keep
        their slot until they are removed.
        """
        ids = iter(sampled)
        grown = []
        for chunk in chunks:
            chunk.sequence.computed += len(chunk.token_ids)
            if chunk.samples:
                chunk.sequence.token_ids.append(next(ids))
                grown.append(chunk.sequence)
        return grown

    def remove(self, sequence: Sequence) -> int | None:
        """Forget ``sequence`` in any state; return the slot that it held, free from now on."""
        if sequence in self._running:
            self._running.remove(sequence)
            slot, sequence.slot = sequence.slot, None
            assert slot is not None
            self._free.append(slot)
            return slot
        if sequence in self._waiting:
            self._waiting.remove(sequence)
        return None


def _next_chunk(sequence: Sequence, budget: int) -> Chunk:
    assert sequence.slot is not None
    start, end = sequence.computed, sequence.computed + min(sequence.pending, budget)
    return Chunk(
        sequence=sequence,
        slot=sequence.slot,
        start=start,
        token_ids=sequence.token_ids[start:end],
        samples=end == len(sequence.token_ids),
    )
