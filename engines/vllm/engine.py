"""vLLM's ``AsyncLLM`` as an ``Engine``: token ids in and out, all text is ours."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from vllm import TokensPrompt
from vllm.exceptions import VLLMClientError
from vllm.v1.engine.exceptions import EngineDeadError

from codeserve.engines.base import Engine, Progress
from codeserve.engines.batching import admission
from codeserve.engines.errors import (
    EngineFailure,
    InvalidRequest,
    ModelUnavailable,
    ServingError,
)
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import (
    EngineConfig,
    EngineInfo,
    EngineLoad,
    FinishReason,
    GenerationRequest,
    TokenDelta,
    TokenScore,
)
from codeserve.engines.vllm.loading import Loaded, load
from codeserve.engines.vllm.options import VllmOptions
from codeserve.engines.vllm.sampling import translate, translate_for_drafts
from codeserve.engines.vllm.scores import scores

ENDINGS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
"""vLLM's other ways to finish are failures."""
MOST_PRIORITY = 2**59
"""What is beyond is served as this; with a lane it fits into vLLM's 64 bits."""
UNLOADED = "The model was unloaded."


class VllmEngine:
    """Implements ``Engine`` by vLLM's own scheduler, in vLLM's own processes.

    vLLM is started and stopped on a thread that lives as long as the engine, because the kernel
    ends vLLM's processes with the thread that started them.
    """

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for invalid options."""
        self._config = config
        self._options = VllmOptions.of(config.options)
        self._limits = admission.QueueLimits.of(config)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vllm")
        self._loaded: Loaded | None = None
        self._is_open = False
        self._collectors: dict[Any, int] = {}
        """What is queued or runs, in the order in which it came, and its prompt tokens."""
        self._submitting: list[int] = []
        """The prompt tokens of what is on its way to vLLM."""
        self._aborting: set[asyncio.Future[None]] = set()
        self._failure: EngineFailure | None = None

    @property
    def info(self) -> EngineInfo:
        """What was loaded; valid after ``start``."""
        return self._of_start.info

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back for the loaded weights; valid after ``start``."""
        return self._of_start.tokenizer

    @property
    def load(self) -> EngineLoad:
        """How busy the engine is."""
        if self._loaded is None:
            return EngineLoad(running=0, waiting=0, steps=0)
        steps, kv_tokens = self._loaded.steps, self.info.settings["kv_cache_tokens"]
        requests = self._requests
        beyond = max(0, requests - self._config.max_concurrency)
        waiting = max(beyond, min(steps.waiting, requests - 1))
        in_use = round(steps.kv_usage * kv_tokens) if requests else 0
        return EngineLoad(
            running=requests - waiting,
            waiting=waiting,
            steps=steps.completed,
            kv_tokens_used=in_use,
            kv_tokens_running=in_use,
            kv_tokens=kv_tokens,
            prefix_queries=steps.prefix_queries,
            prefix_hits=steps.prefix_hits,
            drafts_proposed=steps.drafts_proposed,
            drafts_accepted=steps.drafts_accepted,
        )

    @property
    def healthy(self) -> bool:
        """Whether the engine can serve; once false, it stays so."""
        return (
            self._is_open
            and self._failure is None
            and self._loaded is not None
            and not self._loaded.llm.errored
        )

    async def start(self, progress: Progress) -> None:
        """Load the weights. Raises ModelLoadError."""
        loop = asyncio.get_running_loop()
        self._loaded = await loop.run_in_executor(
            self._thread, load, self._config, self._options, progress
        )
        self._is_open = True

    async def stop(self) -> None:
        """Abort what runs and free everything."""
        was_open, self._is_open = self._is_open, False
        for collector in self._collectors:
            collector.put(ModelUnavailable(UNLOADED))
        if was_open and self._loaded is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._loaded.close)
        self._thread.shutdown(wait=False)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TokenDelta, None]:
        """Queue ``request`` and return its deltas.

        Raises QueueFull or InvalidRequest here, and EngineFailure here or from the generator.
        """
        self._check_open()
        admission.check(request, self.info)
        loaded = self._of_start
        loaded.grammars.check_choice(request)
        await loaded.grammars.check(request)
        self._check_open()
        there = [*self._collectors.values(), *self._submitting]
        running = min(len(there), self._limits.slots)
        self._limits.check(len(request.prompt_ids), running, there[running:])
        collector = await self._submit(request, loaded)
        deltas = self._deltas(request, collector, loaded)
        # Started here, because closing a generator that never ran would skip its clean-up.
        await anext(deltas)
        return deltas

    @property
    def _requests(self) -> int:
        return len(self._collectors) + len(self._submitting)

    @property
    def _of_start(self) -> Loaded:
        assert self._loaded is not None, "the engine is not started"
        return self._loaded

    def _check_open(self) -> None:
        if self._failure is not None:
            raise EngineFailure(self._failure.message)
        if not self._is_open:
            raise ModelUnavailable("The model is not loaded.")

    async def _submit(self, request: GenerationRequest, loaded: Loaded) -> Any:
        """Queue ``request``; what collects its outputs."""
        prompt = TokensPrompt(prompt_token_ids=list(request.prompt_ids))
        if request.cache_salt:
            prompt["cache_salt"] = request.cache_salt
        tokens = len(request.prompt_ids)
        self._submitting.append(tokens)
        try:
            params = self._translate(request, loaded)
            adding = asyncio.ensure_future(
                loaded.llm.add_request(request.id, prompt, params, priority=_priority(request))
            )
            collector = await asyncio.shield(adding)
        except asyncio.CancelledError:
            adding.add_done_callback(self._abandon)
            raise
        except VLLMClientError as error:
            raise InvalidRequest(str(error)) from error
        except EngineDeadError as error:
            raise self._fail(error) from error
        finally:
            self._submitting.remove(tokens)
        if not self._is_open:
            raise ModelUnavailable(UNLOADED)
        self._collectors[collector] = tokens
        return collector

    def _translate(self, request: GenerationRequest, loaded: Loaded) -> Any:
        """vLLM's parameters. Raises UnsupportedFeature, and vLLM's own error."""
        if not loaded.drafts:
            return translate(request)
        padding = frozenset(self.tokenizer.never_sampled)
        return translate_for_drafts(request, self.info.vocab_size, padding)

    def _abandon(self, adding: asyncio.Future[Any]) -> None:
        """Abort a request that nobody waits for any more, now that vLLM has it."""
        if not adding.cancelled() and adding.exception() is None:
            task = asyncio.ensure_future(self._abort(adding.result()))
            self._aborting.add(task)
            task.add_done_callback(self._aborting.discard)

    async def _abort(self, collector: Any) -> None:
        if self._is_open:
            with suppress(EngineDeadError):
                await self._of_start.llm.abort(collector.request_id, internal=True)

    async def _deltas(
        self, request: GenerationRequest, collector: Any, loaded: Loaded
    ) -> AsyncGenerator[TokenDelta, None]:
        sampled: list[int] = []
        finished = False
        try:
            yield TokenDelta(())
            first = True
            while not finished:
                output = await (self._first(request, collector) if first else self._next(collector))
                finished = output.finished
                delta = _delta(request, output, first=first)
                sampled += delta.token_ids
                if delta.finish_reason is FinishReason.STOP:
                    await loaded.grammars.check_end(request, sampled)
                if finished or delta.token_ids or delta.prompt_scores:
                    yield delta
                    first = False
        except EngineDeadError as error:
            finished = True
            raise self._fail(error) from error
        finally:
            self._collectors.pop(collector, None)
            collector.close()
            if not finished:
                await self._abort(collector)

    async def _first(self, request: GenerationRequest, collector: Any) -> Any:
        """Raises DeadlineExceeded where nothing comes within ``queue_timeout``, as vLLM does not
        tell that it has begun a request before its first token."""
        if request.queue_timeout is None:
            return await self._next(collector)
        try:
            async with asyncio.timeout(request.queue_timeout):
                return await self._next(collector)
        except TimeoutError as error:
            raise admission.queue_deadline(request.queue_timeout) from error

    async def _next(self, collector: Any) -> Any:
        return collector.get_nowait() or await collector.get()

    def _fail(self, error: EngineDeadError) -> ServingError:
        """What a request is told of vLLM's end."""
        if not self._is_open:
            return ModelUnavailable(UNLOADED)
        if self._failure is None:
            self._failure = EngineFailure(
                f"vLLM's engine ended: {self._of_start.last_words(error)}"
            )
        return EngineFailure(self._failure.message)


def _priority(request: GenerationRequest) -> int:
    """vLLM serves lower numbers first, strictly: by lane, and in a lane by the request's own."""
    own = max(-MOST_PRIORITY, min(request.priority, MOST_PRIORITY))
    return request.lane * 4 * MOST_PRIORITY + own


def _delta(request: GenerationRequest, output: Any, *, first: bool) -> TokenDelta:
    """One item of vLLM's stream, which may hold several tokens. Raises EngineFailure."""
    (completion,) = output.outputs
    token_ids = tuple(completion.token_ids)
    finish_reason = None
    if completion.finish_reason is not None:
        finish_reason = ENDINGS.get(completion.finish_reason)
        if finish_reason is None:
            raise EngineFailure(
                f"vLLM ended the generation with {completion.finish_reason!r}; its log says why."
            )
    prompt_scores: tuple[TokenScore, ...] = ()
    if first and request.prompt_logprobs is not None:
        positions = output.prompt_logprobs[1:]
        prompt_scores = scores(request.prompt_ids[1:], positions, request.prompt_logprobs)
    return TokenDelta(
        token_ids=token_ids,
        finish_reason=finish_reason,
        cached_tokens=(output.num_cached_tokens or 0) if first else 0,
        scores=()
        if request.logprobs is None
        else scores(token_ids, completion.logprobs or (), request.logprobs),
        prompt_scores=prompt_scores,
        queued_seconds=_queued_seconds(output.metrics) if first else None,
    )


def _queued_seconds(times: Any) -> float | None:
    """How long a request waited for vLLM to schedule it; None where it keeps no times."""
    return None if times is None else max(0.0, times.scheduled_ts - times.queued_ts)


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for options that are invalid."""
    return VllmEngine(config)
