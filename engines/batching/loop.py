"""An engine made of a backend that computes one batch at a time."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from codeserve.engines.base import Progress
from codeserve.engines.batching import admission
from codeserve.engines.batching.constraints import Constraints
from codeserve.engines.batching.sequence import Sequence
from codeserve.engines.batching.step_backend import StepBackend
from codeserve.engines.batching.stepper import Deltas, Stepper
from codeserve.engines.errors import (
    EngineFailure,
    ModelLoadError,
    ModelUnavailable,
    ServingError,
)
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import (
    EngineConfig,
    EngineInfo,
    EngineLoad,
    GenerationRequest,
    TokenDelta,
)

Event = TokenDelta | ServingError

logger = logging.getLogger(__name__)


class StepEngine:
    """Implements ``Engine``: the event loop's side, around a ``Stepper`` on the engine's thread.

    Every call to the backend is made on one thread, which is the only worker of an executor. All
    tokens of a step reach the event loop in one call.
    """

    def __init__(self, backend: StepBackend, config: EngineConfig) -> None:
        """``config`` bounds the requests that may run and wait."""
        self._backend = backend
        self._limits = admission.QueueLimits.of(config)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._events: dict[Sequence, asyncio.Queue[Event]] = {}
        self._info: EngineInfo | None = None
        self._stepper: Stepper | None = None
        self._constraints: Constraints | None = None
        self._stepping: asyncio.Future[None] | None = None
        self._failure: ServingError | None = None

    @property
    def info(self) -> EngineInfo:
        """What was loaded; valid after ``start``."""
        assert self._info is not None, "the engine is not started"
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back for the loaded weights; valid after ``start``."""
        return self._backend.tokenizer

    @property
    def load(self) -> EngineLoad:
        """How busy the engine is."""
        if self._stepper is None:
            return EngineLoad(running=0, waiting=0, steps=0)
        waiting = [one for one in self._events if one.queued_seconds is None]
        now = time.monotonic()
        return EngineLoad(
            running=self._stepper.running,
            waiting=len(waiting),
            waiting_tokens=sum(len(one.request.prompt_ids) for one in waiting),
            oldest_wait=max((now - one.came for one in waiting), default=0.0),
            steps=self._stepper.steps,
            kv_tokens_used=self._stepper.cells_used,
            kv_tokens_running=self._stepper.cells_running,
            kv_tokens=self._backend.cells,
            prefix_queries=self._stepper.cache.queries,
            prefix_hits=self._stepper.cache.hits,
            drafts_proposed=self._stepper.drafts_proposed,
            drafts_accepted=self._stepper.drafts_accepted,
        )

    @property
    def healthy(self) -> bool:
        """Whether the engine can serve; once false, it stays so."""
        return self._stepper is not None and self._failure is None

    async def start(self, progress: Progress) -> None:
        """Load the weights. Raises ModelLoadError."""
        loop = asyncio.get_running_loop()
        try:
            info = await loop.run_in_executor(self._thread, self._backend.load, progress)
        except ServingError:
            raise
        except Exception as error:
            raise ModelLoadError(f"Loading failed: {error!r}") from error

        def deliver(deltas: Deltas) -> None:
            loop.call_soon_threadsafe(self._deliver, deltas)

        self._info = info
        stop_ids = info.variant.stop_ids
        self._constraints = Constraints(
            GrammarCompiler(self.tokenizer, info.vocab_size, stop_ids) if stop_ids else None
        )
        self._stepper = Stepper(self._backend, info.max_concurrency, deliver)
        self._stepping = loop.run_in_executor(self._thread, self._stepper.run)
        self._stepping.add_done_callback(self._end_all)

    async def stop(self) -> None:
        """Abort what runs and free everything."""
        stepper, self._stepper = self._stepper, None
        if stepper is not None and self._stepping is not None:
            stepper.stop()
            await asyncio.wait([self._stepping])
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._backend.unload)
        if self._constraints is not None:
            self._constraints.close()
        self._thread.shutdown(wait=False)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TokenDelta, None]:
        """Queue ``request`` and return its deltas.

        Raises QueueFull or InvalidRequest here, EngineFailure here or from the generator, and
        DeadlineExceeded from the generator.
        """
        if self._failure is not None:
            raise _copy(self._failure)
        if self._stepper is None:
            raise ModelUnavailable("The model is not loaded.")
        admission.check(request, self.info)
        assert self._constraints is not None
        constraint = await self._constraints.make(request)
        if self._stepper is None:
            raise ModelUnavailable("The model was unloaded.")
        self._check_room(request)
        sequence = Sequence(request, constraint)
        self._events[sequence] = asyncio.Queue()
        self._stepper.submit(sequence)
        deltas = self._deltas(sequence)
        # Started here, because closing a generator that never ran would skip its clean-up.
        await anext(deltas)
        return deltas

    def _check_room(self, request: GenerationRequest) -> None:
        """Raise QueueFull where ``request`` is one too many."""
        queued = [len(one.request.prompt_ids) for one in self._events if one.is_queued]
        running = len(self._events) - len(queued)
        self._limits.check(len(request.prompt_ids), running, queued)

    async def _deltas(self, sequence: Sequence) -> AsyncGenerator[TokenDelta, None]:
        events, timeout = self._events[sequence], sequence.request.queue_timeout
        expiry = None
        if timeout is not None:
            loop = asyncio.get_running_loop()
            expiry = loop.call_later(timeout, self._expire, sequence, timeout)
        try:
            yield TokenDelta(())
            while True:
                event = await events.get()
                if isinstance(event, ServingError):
                    raise event
                yield event
                if event.finish_reason is not None:
                    return
        finally:
            if expiry is not None:
                expiry.cancel()
            if self._events.pop(sequence, None) is not None and self._stepper is not None:
                self._stepper.abort(sequence)

    def _expire(self, sequence: Sequence, timeout: float) -> None:
        """End ``sequence`` unless it has got a slot."""
        if sequence.is_queued and self._stepper is not None:
            self._deliver([(sequence, admission.queue_deadline(timeout))])
            self._stepper.abort(sequence)

    def _deliver(self, deltas: Deltas) -> None:
        for sequence, delta in deltas:
            is_last = isinstance(delta, ServingError) or delta.finish_reason is not None
            events = self._events.pop(sequence, None) if is_last else self._events.get(sequence)
            if events is not None:
                events.put_nowait(delta)

    def _end_all(self, stepping: asyncio.Future[None]) -> None:
        """End every generation with the reason why the steps have ended."""
        error = None if stepping.cancelled() else stepping.exception()
        if error is None:
            end: ServingError = ModelUnavailable("The model was unloaded.")
        else:
            logger.error("the engine has broken", exc_info=error)
            end = error if isinstance(error, EngineFailure) else EngineFailure(f"{error!r}")
            self._failure = end
        while self._events:
            self._events.popitem()[1].put_nowait(_copy(end))


def _copy(error: ServingError) -> ServingError:
    """An equal error, because each raised one carries its own traceback."""
    return type(error)(error.message, param=error.param, code=error.code)
