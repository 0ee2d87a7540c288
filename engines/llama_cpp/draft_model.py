"""A small model of the same vocabulary that guesses what a large one will say."""

import time
from collections.abc import Mapping
from collections.abc import Sequence as TokenIds
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from codeserve.engines.batching.drafting import MAX_DRAFT, Prospect
from codeserve.engines.batching.prefix_tree import common_length
from codeserve.engines.batching.scheduler import Chunk
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.batch import Batch
from codeserve.engines.llama_cpp.context import Context, Room
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.weights import Weights, check_file

ASSUMED_PROBABILITY = 0.6
LEARNING_RATE = 0.1


@dataclass(slots=True)
class Draft:
    """What the small model has computed for one sequence."""

    slot: int
    token_ids: list[int] = field(default_factory=list)
    """Tokens in its cache; the last ones may be guesses."""
    guesses: list[int] = field(default_factory=list)
    """The last ones made."""
    probability: float = ASSUMED_PROBABILITY


class DraftModel:
    """Implements ``Drafter`` with a model of its own, whose likeliest tokens are the guesses."""

    def __init__(self, context: Context, room: Room, batch_tokens: int, owned: ExitStack) -> None:
        """``owned`` is closed with it."""
        self._context = context
        self._batch = Batch(batch_tokens)
        self._batch_tokens = batch_tokens
        self._owned = owned
        self._free = list(range(room.slots))
        self._drafts: dict[Sequence, Draft] = {}
        self._seconds_each = 0.0

    @classmethod
    def load(
        cls, path: Path, large: Weights, room: Room, options: LlamaCppOptions, log: LlamaLog
    ) -> "DraftModel":
        """Load ``path`` beside ``large``. Raises ModelLoadError if it cannot be loaded, or if its
        vocabulary is another one."""
        check_file(path)
        with ExitStack() as resources:
            weights = resources.enter_context(
                closing(Weights.load(path, options, repairs.overrides(()), lambda _: None, log))
            )
            _check_vocabulary(path, weights, large)
            context = resources.enter_context(closing(Context(weights, room, options, log)))
            return cls(context, room, options.n_batch, resources.pop_all())

    def close(self) -> None:
        """Free the memory."""
        self._owned.close()

    def prospect(self, sequence: Sequence) -> Prospect | None:
        """As many guesses as wanted."""
        limit = min(MAX_DRAFT, sequence.remaining - 1)
        if limit < 1 or (sequence not in self._drafts and not self._free):
            return None
        draft = self._draft_of(sequence)
        return Prospect(sequence, draft.probability, limit, self._seconds_each)

    def draft(self, counts: Mapping[Sequence, int]) -> Mapping[Sequence, list[int]]:
        """Guesses for the sequences whose tokens it has computed; a long prompt takes it several
        steps, in which it has none."""
        drafts = {sequence: self._draft_of(sequence) for sequence in counts}
        for draft in drafts.values():
            draft.guesses = []
        ready = {s: counts[s] for s, draft in drafts.items() if self._catch_up(s, draft)}
        started, made = time.monotonic(), sum(ready.values())
        for depth in range(max(ready.values(), default=0)):
            self._guess([(s, drafts[s]) for s, count in ready.items() if count > depth])
        if made:
            self._seconds_each = (time.monotonic() - started) / made
        return {sequence: drafts[sequence].guesses for sequence in ready}

    def learn(self, sequence: Sequence, sampled: TokenIds[int]) -> None:
        """Compare its last guesses with what was sampled."""
        draft = self._drafts.get(sequence)
        if draft is None or not draft.guesses:
            return
        right = common_length(draft.guesses, sampled)
        for index in range(min(right + 1, len(draft.guesses))):
            draft.probability += LEARNING_RATE * ((index < right) - draft.probability)
        draft.guesses = []

    def forget(self, sequence: Sequence) -> None:
        """Free its cells."""
        draft = self._drafts.pop(sequence, None)
        if draft is not None:
            self._context.trim(draft.slot, 0)
            self._free.append(draft.slot)

    def _draft_of(self, sequence: Sequence) -> Draft:
        if sequence not in self._drafts:
            self._drafts[sequence] = Draft(self._free.pop())
        return self._drafts[sequence]

    def _catch_up(self, sequence: Sequence, draft: Draft) -> bool:
        """Compute what is missing up to the last token, at most one batch; whether that is all."""
        known = common_length(draft.token_ids, sequence.token_ids[:-1])
        if known < len(draft.token_ids):
            self._context.trim(draft.slot, known)
            del draft.token_ids[known:]
        missing = sequence.token_ids[known:-1][: self._batch_tokens]
        if missing:
            self._batch.fill([Chunk(sequence, draft.slot, known, missing, samples=False)])
            self._context.decode(self._batch)
            draft.token_ids += missing
        return len(draft.token_ids) == len(sequence.token_ids) - 1

    def _guess(self, drafts: list[tuple[Sequence, Draft]]) -> None:
        """One more guess for each."""
        chunks = []
        for sequence, draft in drafts:
            last = draft.guesses[-1] if draft.guesses else sequence.token_ids[-1]
            start = len(draft.token_ids)
            chunks.append(Chunk(sequence, draft.slot, start, [last], samples=True))
            draft.token_ids.append(last)
        count = self._batch.fill(chunks)
        self._context.decode(self._batch)
        likeliest = self._context.logits(count).argmax(axis=1).tolist()
        for (_, draft), token_id in zip(drafts, likeliest, strict=True):
            draft.guesses.append(token_id)


def _check_vocabulary(path: Path, small: Weights, large: Weights) -> None:
    mine, others = small.vocabulary, large.vocabulary
    if mine.size != others.size:
        raise ModelLoadError(
            f"draft_model: {path} has a vocabulary of {mine.size} tokens, but the model has "
            f"{others.size}. Both must have the same."
        )
    for token_id in range(mine.size):
        if mine.text(token_id) != others.text(token_id):
            raise ModelLoadError(
                f"draft_model: token {token_id} of {path} is {mine.text(token_id)!r}, but the "
                f"model's is {others.text(token_id)!r}. Both must have the same vocabulary."
            )
