"""One request's deltas in the API process, as its reader takes them."""

import asyncio
from collections.abc import Callable

from codeserve.engines.errors import ServingError
from codeserve.engines.types import PromptReport, TextDelta, TokenLogprobs


class TextStream:
    """An async iterator of TextDelta: ends after the delta with a finish reason, or raises.

    Deltas that wait for their reader are merged into one, so a slow reader holds up nobody and
    loses nothing. Raises EngineFailure when the engine breaks and EngineRestarted when the worker
    goes away, after all text that had arrived.
    """

    def __init__(self, request_id: str, abandon: Callable[[str], None]) -> None:
        """``abandon`` is told the id when the stream is closed before its end."""
        self.prompt_tokens = 0
        self._id = request_id
        self._abandon = abandon
        self._answered = asyncio.Event()
        self._news = asyncio.Event()
        self._text: list[str] = []
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprobs] = []
        self._prompt: PromptReport | None = None
        self._first = TextDelta()
        self._latest: TextDelta | None = None
        self._error: ServingError | None = None
        self._begun = False
        self._ended = False

    async def accepted(self) -> None:
        """Wait until the worker has accepted the request. Raises ServingError where it has not."""
        await self._answered.wait()
        self._raise_error()

    def accept(self, prompt_tokens: int) -> None:
        """Take note that the request is queued."""
        self.prompt_tokens = prompt_tokens
        self._answered.set()

    def put(self, delta: TextDelta) -> None:
        """Add ``delta`` to what waits."""
        self._text.append(delta.text)
        self._token_ids += delta.token_ids
        self._logprobs += delta.logprobs
        self._prompt = self._prompt or delta.prompt
        if self._latest is None:
            self._first = delta
        self._latest = delta
        self._begun = True
        self._ended = delta.finish_reason is not None
        self._news.set()

    def fail(self, error: ServingError) -> None:
        """End with ``error`` after all that waits."""
        self._ended = True
        self._error = error
        self._answered.set()
        self._news.set()

    @property
    def has_begun(self) -> bool:
        """Whether anything has come yet."""
        return self._begun

    def give_up(self, error: ServingError) -> None:
        """End with ``error`` after all that waits, and end the request; its slot is freed."""
        if not self._ended:
            self.fail(error)
            self._abandon(self._id)

    def __aiter__(self) -> "TextStream":
        return self

    async def __anext__(self) -> TextDelta:
        await self._news.wait()
        if self._latest is not None:
            return self._take(self._latest)
        self._raise_error()
        raise StopAsyncIteration

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _take(self, latest: TextDelta) -> TextDelta:
        merged = TextDelta(
            text="".join(self._text),
            token_ids=tuple(self._token_ids),
            logprobs=tuple(self._logprobs),
            prompt=self._prompt,
            finish_reason=latest.finish_reason,
            stop_reason=latest.stop_reason,
            usage=latest.usage,
            queued_seconds=self._first.queued_seconds,
            cached_tokens=self._first.cached_tokens,
        )
        self._drop()
        return merged

    def _drop(self) -> None:
        self._text.clear()
        self._token_ids.clear()
        self._logprobs.clear()
        self._prompt = None
        self._latest = None
        if not self._ended:
            self._news.clear()

    async def aclose(self) -> None:
        """End the request if it runs still; its slot is freed. Nothing follows."""
        self._ended = True
        self._error = None
        self._drop()
        self._news.set()
        self._abandon(self._id)
