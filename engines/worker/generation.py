"""One request in a worker, from its prompt to its last text."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from codeserve.engines.base import Engine
from codeserve.engines.errors import ContextLengthExceeded, EngineFailure, InvalidRequest
from codeserve.engines.text.line_limits import LineLimits
from codeserve.engines.text.text_stream import TextStream
from codeserve.engines.text.token_names import ShownLogprobs, TokenNames
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import (
    FinishReason,
    GenerationRequest,
    PromptReport,
    TextDelta,
    TextRequest,
    TokenDelta,
    TokenLogprobs,
    Usage,
)


class Generation:
    """A request that the engine has queued: token ids come in, text goes out."""

    def __init__(
        self,
        tokens: AsyncGenerator[TokenDelta, None],
        text: TextStream,
        tokenizer: Tokenizer,
        request: TextRequest,
        prompt_ids: tuple[int, ...],
    ) -> None:
        """``tokens`` continue ``prompt_ids``; ``text`` is what they become."""
        self._tokens = tokens
        self._text = text
        self._tokenizer = tokenizer
        self._request = request
        self._prompt_ids = prompt_ids
        self._lines = LineLimits(request.line_seconds, request.least_indent)
        self._names = TokenNames(tokenizer)
        self._logprobs = ShownLogprobs()
        self._cached_tokens = 0
        self._completion_tokens = 0

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""
        return len(self._prompt_ids)

    @classmethod
    async def start(cls, engine: Engine, request: TextRequest) -> "Generation":
        """Tokenise the prompt, off the event loop, and queue it. Raises ClientError (refused)."""
        tokenizer = engine.tokenizer
        ids = await asyncio.to_thread(tokenizer.encode, request.prompt)
        prompt_ids = _last_of(ids, request.truncate_prompt_tokens, tokenizer.bos)
        stop_ids, never_ids = _stop_ids(request, engine.info.variant.stop_ids)
        generation = GenerationRequest(
            id=request.id,
            prompt_ids=prompt_ids,
            max_tokens=_max_tokens(request, len(prompt_ids), engine.info.context_length),
            stop_ids=stop_ids,
            never_ids=never_ids,
            sampling=request.sampling,
            logprobs=request.logprobs,
            prompt_logprobs=request.prompt_logprobs,
            lane=request.lane,
            priority=request.priority,
            queue_timeout=request.queue_timeout,
            cache_salt=request.cache_salt,
        )
        text = TextStream(
            tokenizer,
            request.stop,
            include_stop=request.include_stop,
            show_control=request.show_control,
        )
        return cls(await engine.generate(generation), text, tokenizer, request, prompt_ids)

    async def deltas(self) -> AsyncGenerator[TextDelta, None]:
        """What the generation adds, step by step; closing it frees the engine's slot.

        The slot is free before the last delta is given. Raises EngineFailure.
        """
        report: PromptReport | None = None
        async with aclosing(self._tokens) as tokens:
            async for delta in tokens:
                if self._completion_tokens == 0:
                    report = self._report(delta)
                self._count(delta)
                text = self._lines.feed(self._text.feed(_shown_ids(delta)))
                if delta.finish_reason is not None or self._has_ended:
                    break
                yield TextDelta(
                    text=text,
                    token_ids=delta.token_ids,
                    logprobs=self._shown(delta, text),
                    prompt=report,
                    queued_seconds=delta.queued_seconds,
                    cached_tokens=self._cached_of_first(delta),
                )
                report = None
            else:
                raise EngineFailure("The engine ended a generation without saying why.")
        yield self._last(delta, text, report)

    @property
    def _has_ended(self) -> bool:
        return self._text.stop is not None or self._lines.is_reached

    def _count(self, delta: TokenDelta) -> None:
        self._cached_tokens += delta.cached_tokens
        self._completion_tokens += len(delta.token_ids)

    def _cached_of_first(self, delta: TokenDelta) -> int | None:
        """The prompt's cached tokens, if ``delta``, which is counted, is the first one."""
        is_first = len(delta.token_ids) == self._completion_tokens
        return delta.cached_tokens if is_first else None

    def _named(self, delta: TokenDelta) -> list[TokenLogprobs]:
        """The scores of ``delta``; that of a stop id belongs to no text."""
        named = [*map(self._names.named, delta.token_ids, delta.scores)]
        if named and delta.finish_reason is FinishReason.STOP:
            stop = msgspec.structs.replace(named[-1].chosen, is_text=False)
            named[-1] = msgspec.structs.replace(named[-1], chosen=stop)
        return named

    def _shown(self, delta: TokenDelta, text: str) -> tuple[TokenLogprobs, ...]:
        if self._request.logprobs is None:
            return ()
        holds_text = self._text.holds_text or self._lines.holds_text
        return self._logprobs.feed(self._named(delta), text, holds_text=holds_text)

    def _report(self, delta: TokenDelta) -> PromptReport | None:
        """What became of the prompt, if the request wants to know."""
        if not self._request.show_prompt:
            return None
        ids, scores = self._prompt_ids, delta.prompt_scores
        return PromptReport(
            token_ids=ids,
            text=self._tokenizer.report(ids),
            spellings=tuple(map(self._tokenizer.spelling, ids)),
            logprobs=(None, *map(self._names.named, ids[1:], scores))
            if self._request.prompt_logprobs is not None
            else (),
        )

    def _last(self, delta: TokenDelta, text: str, report: PromptReport | None) -> TextDelta:
        """The last delta, with all text still held back where nothing has cut it off."""
        if not self._lines.is_reached:
            text += self._lines.feed(self._text.finish()) + self._lines.finish()
        finish_reason, stop_reason = self._ending(delta)
        logprobs: tuple[TokenLogprobs, ...] = ()
        if self._request.logprobs is not None:
            logprobs = self._logprobs.feed(self._named(delta), text, holds_text=True)
            logprobs += self._logprobs.finish(is_cut=self._has_ended)
        if isinstance(stop_reason, int) and self._request.include_stop:
            text += self._tokenizer.spelling(stop_reason).decode(errors="replace")
        return TextDelta(
            text=text,
            token_ids=delta.token_ids,
            logprobs=logprobs,
            finish_reason=finish_reason,
            stop_reason=stop_reason,
            usage=Usage(self.prompt_tokens, self._cached_tokens, self._completion_tokens),
            queued_seconds=delta.queued_seconds,
            cached_tokens=self._cached_of_first(delta),
            prompt=report,
        )

    def _ending(self, delta: TokenDelta) -> tuple[FinishReason | None, str | int | None]:
        """Why the generation ends, and the stop string or stop id, if there is one."""
        if self._text.stop is not None:
            return FinishReason.STOP, self._text.stop
        if self._lines.is_reached:
            return FinishReason.LENGTH, None
        if delta.finish_reason is FinishReason.STOP:
            return FinishReason.STOP, delta.token_ids[-1]
        return delta.finish_reason, None


def _shown_ids(delta: TokenDelta) -> Sequence[int]:
    """The tokens of ``delta`` without a stop id."""
    return delta.token_ids[:-1] if delta.finish_reason is FinishReason.STOP else delta.token_ids


def _last_of(token_ids: list[int], most: int | None, bos: int | None) -> tuple[int, ...]:
    """The last ``most`` of a prompt's tokens, with its BOS all the same; None: all."""
    if most is None or len(token_ids) <= most:
        return tuple(token_ids)
    begins = token_ids[:1] == [bos] and most > 0
    return (*token_ids[:begins], *token_ids[len(token_ids) - most + begins :])


def _stop_ids(request: TextRequest, own: frozenset[int]) -> tuple[frozenset[int], frozenset[int]]:
    """The ids that end the generation, and those of the model's own that may not."""
    asked = frozenset(request.stop_ids)
    return (asked, own - asked) if request.ignore_eos else (asked | own, frozenset())


def _max_tokens(request: TextRequest, prompt_tokens: int, context_length: int) -> int:
    """How many tokens may follow the prompt: those asked for, as far as the context reaches."""
    if prompt_tokens == 0:
        raise InvalidRequest(
            "The prompt is empty: give at least one token.", param=request.prompt_name
        )
    if prompt_tokens >= context_length:
        raise ContextLengthExceeded.of(prompt_tokens, context_length, request.prompt_name)
    if request.max_tokens is None:
        return context_length - prompt_tokens
    if request.max_tokens < 1:
        raise InvalidRequest(
            f"max_tokens must be at least 1, but is {request.max_tokens}.", param="max_tokens"
        )
    return min(request.max_tokens, context_length - prompt_tokens)
