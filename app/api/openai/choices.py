"""The answers to one request: every prompt as often as asked for, side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from codeserve.app.edge.record import RequestRecord
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import FinishReason, SamplingParams, TextDelta, TextRequest, Usage
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.segments import PromptSegments

MAX_CHOICES = 256
"""Prompts times choices of one request; as many as may wait for a model."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one request wants generated."""

    id: str
    prompts: Sequence[PromptSegments]
    choices_per_prompt: int
    max_tokens: int | None
    """0 generates nothing; None goes on to the end of the context."""
    stop: tuple[str, ...]
    sampling: SamplingParams

    def requests(self) -> list[TextRequest]:
        """One request for each choice; choice j of prompt i comes at ``i * choices_per_prompt + j``
        and is drawn with the seed plus j."""
        count = len(self.prompts) * self.choices_per_prompt
        if count > MAX_CHOICES:
            raise InvalidRequest(
                f"The request asks for {count} choices ({len(self.prompts)} prompts, "
                f"{self.choices_per_prompt} choices each), but one request may have at most "
                f"{MAX_CHOICES}.",
                param="n",
                code="integer_above_max_value",
            )
        return [
            TextRequest(
                id=f"{self.id}-{prompt_index * self.choices_per_prompt + j}",
                prompt=prompt,
                max_tokens=None if self.max_tokens is None else max(self.max_tokens, 1),
                sampling=self._sampling(j),
                stop=self.stop,
            )
            for prompt_index, prompt in enumerate(self.prompts)
            for j in range(self.choices_per_prompt)
        ]

    def _sampling(self, choice: int) -> SamplingParams:
        if self.sampling.seed is None:
            return self.sampling
        return msgspec.structs.replace(self.sampling, seed=self.sampling.seed + choice)


class Choices:
    """The generations of one plan, all accepted by the engine. Iterate once for the deltas of all
    of them as they come, each with the index of its choice."""

    def __init__(self, plan: Plan, streams: Sequence[TextStream]) -> None:
        self._plan = plan
        self._streams = streams
        self._usages = [Usage(prompt_tokens=stream.prompt_tokens) for stream in streams]
        self._arrived: asyncio.Queue[tuple[int, TextDelta | Exception]] = asyncio.Queue(1)

    @classmethod
    @asynccontextmanager
    async def start(
        cls, model: LeasedModel, plan: Plan, record: RequestRecord
    ) -> AsyncIterator["Choices"]:
        """Have ``model`` accept all of ``plan``; end what still runs on the way out.

        ``record`` learns what it cost. Raises what the model refuses with.
        """
        async with AsyncExitStack() as running:
            streams = []
            for request in plan.requests():
                stream = await model.generate(request)
                running.push_async_callback(stream.aclose)
                streams.append(stream)
            choices = cls(plan, streams)
            for index, stream in enumerate(streams) if len(streams) > 1 else ():
                running.callback(asyncio.create_task(choices._pump(index, stream)).cancel)
            try:
                yield choices
            finally:
                record.prompt_tokens = choices.usage.prompt_tokens
                record.completion_tokens = choices.usage.completion_tokens

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def usage(self) -> Usage:
        """What all choices have cost so far; a prompt counts once."""
        firsts = self._usages[:: self._plan.choices_per_prompt]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in firsts),
            cached_tokens=sum(usage.cached_tokens for usage in firsts),
            completion_tokens=sum(usage.completion_tokens for usage in self._usages),
        )

    async def __aiter__(self) -> AsyncIterator[tuple[int, TextDelta]]:
        if self._plan.max_tokens == 0:
            for index in range(len(self)):
                yield index, TextDelta(finish_reason=FinishReason.LENGTH)
            return
        if len(self) == 1:
            async for added in self._streams[0]:
                self._count(0, added)
                yield 0, added
            return
        unfinished = len(self)
        while unfinished:
            index, delta = await self._arrived.get()
            if isinstance(delta, Exception):
                raise delta
            self._count(index, delta)
            unfinished -= delta.finish_reason is not None
            yield index, delta

    async def _pump(self, index: int, stream: TextStream) -> None:
        """Pass on one stream; while the reader is slow, the stream merges what waits."""
        try:
            async for delta in stream:
                await self._arrived.put((index, delta))
        except Exception as error:  # noqa: BLE001 - the reader raises it
            await self._arrived.put((index, error))

    def _count(self, index: int, delta: TextDelta) -> None:
        so_far = self._usages[index]
        self._usages[index] = delta.usage or msgspec.structs.replace(
            so_far, completion_tokens=so_far.completion_tokens + len(delta.token_ids)
        )
