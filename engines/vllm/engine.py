"""vLLM's ``AsyncLLM`` as an ``Engine``: token ids in and out, all text is ours."""

import asyncio
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
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
from codeserve.engines.vllm.slots import Slots, Turn

ENDINGS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
"""vLLM's other ways to finish are failures."""
UNLOADED = "The model was unloaded."


class VllmEngine:
    """Implements ``Engine`` by vLLM's own scheduler, in vLLM's own processes, behind our queue.

    vLLM is started and stopped on a thread that lives as long as the engine, because the kernel
    ends vLLM's processes with the thread that started them.
    """

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for invalid options."""
        self._config = config
        self._options = VllmOptions.of(config.options)
        self._slots = Slots(admission.QueueLimits.of(config))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vllm")
        self._loaded: Loaded | None = None
        self._is_open = False
        self._collectors: set[Any] = set()
        """Of the outputs of what vLLM has."""
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
        queued, slots, now = self._slots.queued, self._slots.running, time.monotonic()
        crowded_out = max(0, min(steps.waiting, slots - 1))
        in_use = round(steps.kv_usage * kv_tokens) if slots else 0
        return EngineLoad(
            running=slots - crowded_out,
            waiting=len(queued) + crowded_out,
            waiting_tokens=sum(len(turn.request.prompt_ids) for turn in queued),
            oldest_wait=max((now - turn.came for turn in queued), default=0.0),
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
        self._slots.close(UNLOADED)
        for collector in self._collectors:
            collector.put(ModelUnavailable(UNLOADED))
        if was_open and self._loaded is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._loaded.close)
        self._thread.shutdown(wait=False)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TokenDelta, None]:
        """Queue ``request`` and return its deltas.

        Raises QueueFull or InvalidRequest here, EngineFailure here or from the generator, and
        DeadlineExceeded from the generator.
        """
        self._check_open()
        admission.check(request, self.info)
        loaded = self._of_start
        loaded.grammars.check_choice(request)
        await loaded.grammars.check(request)
        self._check_open()
        params = self._translate(request, loaded)
        deltas = self._deltas(self._slots.enter(request), params, loaded)
        # Started here, because closing a generator that never ran would skip its clean-up.
        await anext(deltas)
        return deltas

    @property
    def _of_start(self) -> Loaded:
        assert self._loaded is not None, "the engine is not started"
        return self._loaded

    def _check_open(self) -> None:
        if self._failure is not None:
            raise EngineFailure(self._failure.message)
        if not self._is_open:
            raise ModelUnavailable("The model is not loaded.")

    def _translate(self, request: GenerationRequest, loaded: Loaded) -> Any:
        """vLLM's parameters. Raises InvalidRequest and UnsupportedFeature."""
        try:
            if not loaded.drafts:
                return translate(request)
            padding = frozenset(self.tokenizer.never_sampled)
            return translate_for_drafts(request, self.info.vocab_size, padding)
        except VLLMClientError as error:
            raise InvalidRequest(str(error)) from error

    async def _submit(self, turn: Turn, params: Any, loaded: Loaded) -> Any:
        """Give the request to vLLM; what collects its outputs."""
        request = turn.request
        prompt = TokensPrompt(prompt_token_ids=list(request.prompt_ids))
        if request.cache_salt:
            prompt["cache_salt"] = request.cache_salt
        adding = asyncio.ensure_future(
            loaded.llm.add_request(request.id, prompt, params, priority=self._slots.due(turn))
        )
        try:
            collector = await asyncio.shield(adding)
        except asyncio.CancelledError:
            adding.add_done_callback(self._abandon)
            raise
        except VLLMClientError as error:
            raise InvalidRequest(str(error)) from error
        except EngineDeadError as error:
            raise self._fail(error) from error
        if not self._is_open:
            raise ModelUnavailable(UNLOADED)
        self._collectors.add(collector)
        return collector

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
        self, turn: Turn, params: Any, loaded: Loaded
    ) -> AsyncGenerator[TokenDelta, None]:
        """First an empty one: the request is queued, or vLLM has taken it."""
        try:
            was_queued = turn.is_queued
            if was_queued:
                yield TokenDelta(())
                await self._slots.wait(turn)
            async with aclosing(self._computed(turn, params, loaded)) as computed:
                taken = await anext(computed)
                if not was_queued:
                    yield taken
                async for delta in computed:
                    yield delta
        finally:
            self._slots.leave(turn)

    async def _computed(
        self, turn: Turn, params: Any, loaded: Loaded
    ) -> AsyncGenerator[TokenDelta, None]:
        """First an empty one: vLLM has taken the request, and gives it up when this is closed."""
        collector = await self._submit(turn, params, loaded)
        sampled: list[int] = []
        finished, first = False, True
        try:
            yield TokenDelta(())
            while not finished:
                output = await self._next(collector)
                finished = output.finished
                delta = _delta(turn, output, first=first)
                sampled += delta.token_ids
                self._slots.count(len(delta.token_ids))
                if delta.finish_reason is FinishReason.STOP:
                    await loaded.grammars.check_end(turn.request, sampled)
                if finished or delta.token_ids or delta.prompt_scores:
                    if first:
                        self._slots.count(len(turn.request.prompt_ids) - delta.cached_tokens)
                    yield delta
                    first = False
        except EngineDeadError as error:
            finished = True
            raise self._fail(error) from error
        finally:
            self._collectors.discard(collector)
            collector.close()
            if not finished:
                await self._abort(collector)

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


def _delta(turn: Turn, output: Any, *, first: bool) -> TokenDelta:
    """One item of vLLM's stream, which may hold several tokens. Raises EngineFailure."""
    request = turn.request
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
        queued_seconds=turn.queued_seconds if first else None,
    )


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for options that are invalid."""
    return VllmEngine(config)
