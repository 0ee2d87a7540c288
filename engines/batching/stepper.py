"""The engine thread's side of a step engine."""

from collections.abc import Callable
from queue import SimpleQueue

from codeserve.engines.base import StepBackend
from codeserve.engines.batching.scheduler import Scheduler
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.types import TokenDelta

Deltas = list[tuple[Sequence, TokenDelta]]


class Stepper:
    """Drives a loaded backend, step by step, as its scheduler plans.

    ``run`` belongs to the engine's thread. ``submit``, ``abort`` and ``stop`` may be called from
    any thread and take effect between two steps.
    """

    def __init__(
        self, backend: StepBackend, slots: int, deliver: Callable[[Deltas], object]
    ) -> None:
        """``deliver`` is called on the engine's thread, once for each step that yields tokens."""
        self._backend = backend
        self._scheduler = Scheduler(slots, backend.batch_tokens)
        self._deliver = deliver
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = False
        self.steps = 0
        """Steps completed."""

    @property
    def running(self) -> int:
        """Number of sequences that hold a slot; from any thread."""
        return self._scheduler.running

    def submit(self, sequence: Sequence) -> None:
        """Queue ``sequence``."""
        self._commands.put(lambda: self._scheduler.add(sequence))

    def abort(self, sequence: Sequence) -> None:
        """Forget ``sequence`` in whatever state it is."""
        self._commands.put(lambda: self._release(sequence))

    def stop(self) -> None:
        """Make ``run`` return."""
        self._commands.put(self._stop)

    def run(self) -> None:
        """Compute until stopped. Raises what the backend raises; then no further step is run."""
        while True:
            self._obey_commands()
            if self._stopping:
                return
            if self._has_work:
                self._step()

    @property
    def _has_work(self) -> bool:
        return self._scheduler.running + self._scheduler.waiting > 0

    def _obey_commands(self) -> None:
        if not self._has_work:
            self._commands.get()()
        while not self._commands.empty():
            self._commands.get()()

    def _step(self) -> None:
        for sequence in self._scheduler.admit():
            assert sequence.slot is not None
            self._backend.open(sequence.slot, sequence.request)
        chunks = self._scheduler.plan()
        sampled = self._backend.step(chunks)
        deltas: Deltas = []
        for sequence in self._scheduler.apply(chunks, sampled):
            finish_reason = sequence.finish_reason
            deltas.append((sequence, TokenDelta((sequence.token_ids[-1],), finish_reason)))
            if finish_reason is not None:
                self._release(sequence)
        self.steps += 1
        if deltas:
            self._deliver(deltas)

    def _release(self, sequence: Sequence) -> None:
        slot = self._scheduler.remove(sequence)
        if slot is not None:
            self._backend.close(slot)

    def _stop(self) -> None:
        self._stopping = True
