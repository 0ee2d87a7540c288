"""The engine thread's side of a step engine."""

import time
from collections.abc import Callable
from queue import SimpleQueue

from codeserve.engines.batching.block_store import BlockFiles, BlockStore
from codeserve.engines.batching.drafting import choose_lengths
from codeserve.engines.batching.prefix_cache import PrefixCache
from codeserve.engines.batching.scheduler import Chunk, Scheduler
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.step_backend import StepBackend
from codeserve.engines.batching.step_costs import StepCosts
from codeserve.engines.errors import ServingError
from codeserve.engines.types import TokenDelta

Deltas = list[tuple[Sequence, TokenDelta | ServingError]]


class Stepper:
    """Drives a loaded backend, step by step, as its scheduler plans.

    ``run`` belongs to the engine's thread. ``submit``, ``abort`` and ``stop`` may be called from
    any thread and take effect between two steps.
    """

    def __init__(
        self, backend: StepBackend, max_concurrency: int, deliver: Callable[[Deltas], object]
    ) -> None:
        """``deliver`` is called on the engine's thread, once for each step that yields tokens."""
        settings = backend.batching
        self._backend = backend
        self._costs = StepCosts(settings.step_seconds)
        self._scheduler = Scheduler(
            max_concurrency,
            settings.batch_tokens,
            self._costs,
            settings.chunk_tokens,
            scored_rows=settings.sampled_rows - max_concurrency,
        )
        self.cache = PrefixCache(backend, _block_store(settings), settings.idle_rows)
        """The engine thread's own."""
        self._drafter = backend.drafter
        self._most_rows = min(settings.sampled_rows, settings.batch_tokens)
        self._deliver = deliver
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = False
        self.steps = 0
        """Steps completed."""
        self.cells_running = 0
        """Cells of the KV cache that running sequences used after the last step."""
        self.cells_used = 0
        """All that held a token then."""
        self.drafts_proposed = 0
        self.drafts_accepted = 0

    @property
    def running(self) -> int:
        """Number of sequences that hold a slot; from any thread."""
        return self._scheduler.running

    def submit(self, sequence: Sequence) -> None:
        """Queue ``sequence``."""
        self._commands.put(lambda: self._add(sequence))

    def abort(self, sequence: Sequence) -> None:
        """Forget ``sequence`` in whatever state it is; what it has computed stays cached."""
        self._commands.put(lambda: self._release(sequence))

    def stop(self) -> None:
        """Make ``run`` return."""
        self._commands.put(self._stop)

    def run(self) -> None:
        """Compute until stopped. Raises what the backend raises; then no further step is run."""
        while not self._stopping:
            self.step_once()
        self.cache.close()

    @property
    def has_work(self) -> bool:
        """Whether a sequence runs or waits."""
        return self._scheduler.running + self._scheduler.waiting > 0

    def step_once(self) -> None:
        """Obey commands, waiting for one if there is no work, and compute one step if there is."""
        if not self.has_work:
            self._commands.get()()
        while not self._commands.empty():
            self._commands.get()()
        if self.has_work and not self._stopping:
            self._step()
        self.cells_running, self.cells_used = self.cache.cells_running, self.cache.cells_used

    def _step(self) -> None:
        self._admit()
        chunks = self._scheduler.plan(self._drafts())
        tokens = sum(len(chunk.token_ids) for chunk in chunks)
        self.cache.make_room(tokens)
        started = time.monotonic()
        outcomes = self._backend.step(chunks)
        self._costs.learn(tokens, time.monotonic() - started)
        grown = self._scheduler.apply(chunks, outcomes)
        self._trim_rejected(chunks)
        self.steps += 1
        failed = [
            (chunk.sequence, outcome.error)
            for chunk, outcome in zip(chunks, outcomes, strict=True)
            if outcome.error is not None
        ]
        if grown or failed:
            self._deliver([*grown, *failed])
        for sequence, _ in failed:
            self._release(sequence)
        for sequence, delta in grown:
            if delta.finish_reason is not None:
                self._release(sequence)
            elif self._drafter is not None:
                self._drafter.learn(sequence, delta.token_ids)
        self.cache.pass_rows(tokens)

    def _add(self, sequence: Sequence) -> None:
        known = self.cache.known_length(sequence)
        self._scheduler.add(sequence, sequence.pending - known)

    def _admit(self) -> None:
        """Give free slots to waiting sequences, and those that have waited for others' tokens."""
        for sequence in self._scheduler.caught_up():
            self.cache.extend(sequence)
            self._scheduler.follow(sequence)
        while (admitted := self._scheduler.next_admitted()) is not None:
            admitted.queued_seconds = time.monotonic() - admitted.came
            slot = self.cache.admit(admitted)
            self._scheduler.follow(admitted)
            self._backend.open(slot, admitted.request, admitted.constraint)

    def _drafts(self) -> dict[Sequence, list[int]]:
        """Guesses for the decoding sequences, where verifying them pays and no prompt waits."""
        decoding = self._scheduler.decoding
        if self._drafter is None or not decoding or self._scheduler.prefilling:
            return {}
        found = (self._drafter.prospect(sequence) for sequence in decoding)
        prospects = [prospect for prospect in found if prospect is not None]
        if not prospects:
            return {}
        budget = self._most_rows - len(decoding)
        lengths = choose_lengths(prospects, len(decoding), budget, self._costs)
        return dict(self._drafter.draft(lengths))

    def _trim_rejected(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            if not chunk.drafts:
                continue
            rejected = chunk.start + len(chunk.token_ids) - chunk.sequence.computed
            self.drafts_proposed += chunk.drafts
            self.drafts_accepted += chunk.drafts - rejected
            if rejected:
                self._backend.trim(chunk.slot, chunk.sequence.computed)

    def _release(self, sequence: Sequence) -> None:
        slot = sequence.slot
        if self._scheduler.remove(sequence):
            assert slot is not None
            self._backend.close(slot)
            self.cache.release(sequence)
            if self._drafter is not None:
                self._drafter.forget(sequence)

    def _stop(self) -> None:
        self._stopping = True


def _block_store(settings: BatchingSettings) -> BlockStore:
    """Raises OSError if the folder for blocks cannot be used."""
    if settings.disk_folder is None:
        return BlockStore(settings.host_bytes)
    files = BlockFiles(settings.disk_folder, settings.disk_bytes)
    return BlockStore(settings.host_bytes, files)
