"""One request in a worker, from its prompt to its last text."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from codeserve.engines.base import Engine
from codeserve.engines.errors import ContextLengthExceeded, EngineFailure, InvalidRequest
from codeserve.engines.text.text_stream import TextStream
from codeserve.engines.types import (
    FinishReason,
    GenerationRequest,
    TextDelta,
    TextRequest,
    TokenDelta,
    Usage,
)


class Generation:
    """A request that the engine has queued: token ids come in, text goes out."""

    def __init__(
        self, tokens: AsyncGenerator[TokenDelta, None], text: TextStream, prompt_tokens: int
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self._tokens = tokens
        self._text = text
        self._cached_tokens = 0
        self._completion_tokens = 0

    @classmethod
    async def start(cls, engine: Engine, request: TextRequest) -> "Generation":
        """Tokenise the prompt, off the event loop, and queue it. Raises ClientError (refused)."""
        prompt_ids = await asyncio.to_thread(engine.tokenizer.encode, request.prompt)
        generation = GenerationRequest(
            id=request.id,
            prompt_ids=tuple(prompt_ids),
            max_tokens=_max_tokens(request, len(prompt_ids), engine.info.context_length),
            stop_ids=engine.info.variant.stop_ids,
            sampling=request.sampling,
        )
        text = TextStream(engine.tokenizer, request.stop)
        return cls(await engine.generate(generation), text, len(prompt_ids))

    async def deltas(self) -> AsyncGenerator[TextDelta, None]:
        """What the generation adds, step by step; closing it frees the engine's slot.

        The slot is free before the last delta is given. Raises EngineFailure.
        """
        async with aclosing(self._tokens) as tokens:
            async for delta in tokens:
                text = self._text.feed(delta.token_ids)
                self._count(delta)
                if delta.finish_reason is not None or self._text.stop is not None:
                    break
                yield TextDelta(text=text, token_ids=delta.token_ids)
            else:
                raise EngineFailure("The engine ended a generation without saying why.")
        yield self._last(delta, text)

    def _count(self, delta: TokenDelta) -> None:
        self._cached_tokens += delta.cached_tokens
        self._completion_tokens += len(delta.token_ids)

    def _last(self, delta: TokenDelta, text: str) -> TextDelta:
        """The last delta, with all text still held back where no stop string has cut it off."""
        text += self._text.finish()
        finish_reason, stop_reason = delta.finish_reason, self._text.stop
        if stop_reason is not None:
            finish_reason = FinishReason.STOP
        stopped_by_id = finish_reason is FinishReason.STOP and stop_reason is None
        return TextDelta(
            text=text,
            token_ids=delta.token_ids,
            finish_reason=finish_reason,
            stop_reason=delta.token_ids[-1] if stopped_by_id else stop_reason,
            usage=Usage(self.prompt_tokens, self._cached_tokens, self._completion_tokens),
        )


def _max_tokens(request: TextRequest, prompt_tokens: int, context_length: int) -> int:
    """How many tokens may follow the prompt: those asked for, as far as the context reaches."""
    if prompt_tokens == 0:
        raise InvalidRequest("The prompt is empty: give at least one token.", param="prompt")
    if prompt_tokens >= context_length:
        raise ContextLengthExceeded.of(prompt_tokens, context_length)
    if request.max_tokens is None:
        return context_length - prompt_tokens
    if request.max_tokens < 1:
        raise InvalidRequest(
            f"max_tokens must be at least 1, but is {request.max_tokens}.", param="max_tokens"
        )
    return min(request.max_tokens, context_length - prompt_tokens)
