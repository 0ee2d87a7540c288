"""Which tokens each step computes: pure policy, without threads or a clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codeserve.engines.batching.lane_queue import LaneQueue
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.prefix_tree import common_length
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.step_costs import StepCosts
from codeserve.engines.types import TokenDelta

SECONDS_BESIDE_STREAMS = 0.2
"""What a step may take while sequences decode: their streams stand still for so long."""

SECONDS = 0.5
"""What a step may take otherwise: a new or cancelled request waits for so long."""

LEAST_PROMPT_TOKENS_BESIDE_STREAMS, LEAST_PROMPT_TOKENS = 16, 64
"""Prompt tokens of a step, however long it takes: fewer would make prompts crawl."""

WORTH_WAITING = 16
"""Tokens that another sequence must be about to compute for one to wait for them."""


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
    drafts: int = 0
    """How many of the last tokens are guesses to be verified."""

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's tokens that come after each of ``token_ids`` are scored."""
        return self.sequence.scores_prompt and not self.sequence.is_decoding


class Scheduler:
    """Continuous batching with chunked prefill (https://arxiv.org/abs/2308.16369).

    Each step computes the last token of every decoding sequence, and prompts in chunks with the
    rest of its budget. So a long prompt never makes a running stream miss a step.

    Prompts are served by the earliest due: a request is due when the tokens computed since it came
    amount to those that it needs, and to the handicap of its lane. So a short request gets in ahead
    of a long one, but none that comes after as many tokens as the long one needs, however many
    there are; ``LaneQueue`` has the whole order.
    """

    def __init__(
        self,
        slots: int,
        step_tokens: int,
        costs: StepCosts,
        chunk_tokens: int | None = None,
        *,
        scored_rows: int = 1,
    ) -> None:
        """``step_tokens``: the most tokens of one step; at least one for each of ``slots``.

        With ``chunk_tokens`` every prompt is computed in chunks of that size, whatever else runs.
        ``scored_rows``: the most prompt tokens of one step that are scored.
        """
        if not 1 <= slots <= step_tokens:
            raise ValueError(
                f"{slots} slots need steps of at least that many tokens, {step_tokens}"
            )
        self._slots = slots
        self._step_tokens = step_tokens
        self._costs = costs
        self._chunk_tokens = chunk_tokens
        self._scored_rows = scored_rows
        self._clock = 0
        self._queue = LaneQueue[Sequence]()
        self._running: list[Sequence] = []
        """In the order in which they got their slots."""
        self._leaders: dict[Sequence, tuple[Sequence, int]] = {}

    @property
    def running(self) -> int:
        """Number of sequences that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Number of sequences that wait for a slot."""
        return len(self._queue)

    @property
    def decoding(self) -> list[Sequence]:
        """Sequences that get a token in each step."""
        return [sequence for sequence in self._running if sequence.is_decoding]

    @property
    def prefilling(self) -> list[Sequence]:
        """Sequences whose prompt the next step goes on with, the earliest due first."""
        return self._queue.in_order(
            sequence
            for sequence in self._running
            if not sequence.is_decoding and sequence not in self._leaders
        )

    def add(self, sequence: Sequence, needed: int) -> None:
        """Queue ``sequence``, of whose prompt ``needed`` tokens must be computed."""
        self._queue.enter(sequence, self._clock, needed)

    def next_admitted(self) -> Sequence | None:
        """The waiting sequence that takes a free place among the running; None if none can."""
        if not self._queue or len(self._running) == self._slots:
            return None
        sequence = self._queue.pop()
        self._running.append(sequence)
        return sequence

    def follow(self, sequence: Sequence) -> None:
        """Let ``sequence`` wait if one that is due before it computes more of the same prompt.

        It waits only for one that got its slot before it did, so that none wait for each other.
        """
        if sequence.scores_prompt:
            return
        prompt = sequence.keys(len(sequence.token_ids) - 1)
        length = sequence.computed + WORTH_WAITING
        for leader in self._running[: self._running.index(sequence)]:
            common = common_length(leader.keys(len(leader.request.prompt_ids)), prompt)
            is_behind = common >= length and leader.computed < common
            if is_behind and self._queue.in_order((leader, sequence))[0] is leader:
                self._leaders[sequence] = leader, common
                length = common

    def caught_up(self) -> list[Sequence]:
        """The sequences that need not wait any more, because what they have waited for is
        computed or will not be."""
        done = [
            follower
            for follower, (leader, length) in self._leaders.items()
            if leader.computed >= length or leader not in self._queue
        ]
        for follower in done:
            del self._leaders[follower]
        return done

    def plan(self, drafts: Mapping[Sequence, list[int]]) -> list[Chunk]:
        """The chunks of the next step: decoding sequences with their drafts, then prompts."""
        chunks = [self._decode_chunk(s, drafts.get(s, [])) for s in self.decoding]
        rows = sum(len(chunk.token_ids) for chunk in chunks)
        budget, scored_rows = self._prompt_tokens(rows), self._scored_rows
        for sequence in self.prefilling:
            room = min(budget, scored_rows) if sequence.scores_prompt else budget
            if room == 0:
                continue
            chunk = self._prompt_chunk(sequence, room)
            chunks.append(chunk)
            budget = max(0, budget - len(chunk.token_ids))
            scored_rows -= len(chunk.token_ids) * chunk.scores_prompt
        return chunks

    def apply(
        self, chunks: Iterable[Chunk], outcomes: Iterable[Outcome]
    ) -> list[tuple[Sequence, TokenDelta]]:
        """Record a computed step; return the sequences that got tokens, and what they got.

        Finished sequences stay until they are removed.
        """
        grown = []
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            sequence = chunk.sequence
            self._clock += len(chunk.token_ids)
            sequence.computed += len(chunk.token_ids) - chunk.drafts
            sequence.prompt_scores += outcome.prompt_scores
            if chunk.samples and outcome.error is None:
                delta = sequence.take(outcome)
                sequence.computed += min(len(delta.token_ids), len(outcome.token_ids) - 1)
                grown.append((sequence, delta))
        return grown

    def remove(self, sequence: Sequence) -> bool:
        """Forget ``sequence`` in any state; whether it was running."""
        if sequence not in self._queue:
            return False
        self._queue.leave(sequence)
        self._leaders.pop(sequence, None)
        if sequence in self._running:
            self._running.remove(sequence)
            return True
        return False

    def _prompt_tokens(self, rows: int) -> int:
        """How many prompt tokens fit beside ``rows`` tokens of decoding sequences."""
        seconds, least = SECONDS, LEAST_PROMPT_TOKENS
        if rows:
            seconds, least = SECONDS_BESIDE_STREAMS, LEAST_PROMPT_TOKENS_BESIDE_STREAMS
        free = self._step_tokens - rows
        if not self._costs.is_measured:
            return free
        fitting = self._costs.tokens_within(seconds, self._step_tokens) - rows
        return min(free, max(fitting, least))

    def _prompt_chunk(self, sequence: Sequence, budget: int) -> Chunk:
        if self._chunk_tokens is not None:
            room = budget if sequence.scores_prompt else self._chunk_tokens
            budget = min(self._chunk_tokens, room)
        return _chunk(sequence, min(sequence.pending, budget))

    def _decode_chunk(self, sequence: Sequence, draft: list[int]) -> Chunk:
        if not draft:
            return _chunk(sequence, 1)
        assert sequence.slot is not None
        start = sequence.computed
        token_ids = sequence.token_ids[start:] + draft
        return Chunk(sequence, sequence.slot, start, token_ids, True, len(draft))


def _chunk(sequence: Sequence, tokens: int) -> Chunk:
    assert sequence.slot is not None
    start, end = sequence.computed, sequence.computed + tokens
    return Chunk(
        sequence=sequence,
        slot=sequence.slot,
        start=start,
        token_ids=sequence.token_ids[start:end],
        samples=end == len(sequence.token_ids),
    )
