"""The answers to one request: every prompt as often as asked for, side by side."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from codeserve.app.api.generation.account import Account
from codeserve.app.api.generation.deadlines import Deadlines
from codeserve.app.api.generation.plan import Plan
from codeserve.app.edge.record import RequestRecord
from codeserve.app.edge.token_budget import STEP, TokenBudget
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.errors import DeadlineExceeded
from codeserve.engines.types import FinishReason, TextDelta, Usage
from codeserve.engines.worker.client import TextStream


class Choices:
    """The generations of one plan, all accepted by the engine. Iterate once for the deltas of all
    of them as they come, each with the index of its choice."""

    def __init__(
        self,
        plan: Plan,
        streams: Sequence[TextStream],
        account: Account,
        budget: TokenBudget | None,
    ) -> None:
        self._plan = plan
        self._account = account
        self._budget = budget
        self._streams = streams
        self._usages = [Usage(prompt_tokens=stream.prompt_tokens) for stream in streams]
        self._arrived: asyncio.Queue[tuple[int, TextDelta | Exception]] = asyncio.Queue(1)

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        model: LeasedModel,
        plan: Plan,
        record: RequestRecord,
        deadlines: Deadlines,
        budget: TokenBudget | None,
    ) -> AsyncIterator["Choices"]:
        """Have ``model`` accept all of ``plan``; end what still runs on the way out.

        ``record`` learns how it went and what it cost; ``budget`` bounds that. Raises what the
        model or the budget refuses with, and DeadlineExceeded.
        """
        account = Account(record)
        async with AsyncExitStack() as running:
            streams = []
            async with deadlines.before_first_token():
                for request in plan.requests(model.most_requests):
                    stream = await model.generate(request)
                    running.push_async_callback(stream.aclose)
                    streams.append(stream)
                    account.accept()
                choices = cls(plan, streams, account, budget)
                if budget is not None:
                    most = choices._most_generated(model.info.context_length)
                    await budget.reserve(choices.usage.prompt_tokens, most)
            for timer in deadlines.timers(choices._have_begun, choices._give_up):
                running.callback(timer.cancel)
            for index, stream in enumerate(streams) if len(streams) > 1 else ():
                running.callback(asyncio.create_task(choices._pump(index, stream)).cancel)
            try:
                yield choices
            finally:
                account.close(choices.usage)

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
        async for index, delta in self._deltas():
            if self._plan.generates:
                self._count(index, delta)
                if self._budget is not None:
                    used = self.usage
                    await self._budget.cover(used.prompt_tokens + used.completion_tokens)
                yield index, delta
            else:
                yield index, TextDelta(prompt=delta.prompt, finish_reason=FinishReason.LENGTH)

    async def _deltas(self) -> AsyncIterator[tuple[int, TextDelta]]:
        """What arrives; of a plan that generates nothing, only reports on prompts."""
        if not self._plan.generates and not self._plan.request.show_prompt:
            for index in range(len(self)):
                yield index, TextDelta(finish_reason=FinishReason.LENGTH)
            return
        if len(self) == 1:
            async for delta in self._streams[0]:
                yield 0, delta
            return
        unfinished = len(self)
        while unfinished:
            index, arrived = await self._arrived.get()
            if isinstance(arrived, Exception):
                raise arrived
            unfinished -= arrived.finish_reason is not None
            yield index, arrived

    async def _pump(self, index: int, stream: TextStream) -> None:
        """Pass on one stream; while the reader is slow, the stream merges what waits."""
        try:
            async for delta in stream:
                await self._arrived.put((index, delta))
        except Exception as error:  # noqa: BLE001 - the reader raises it
            await self._arrived.put((index, error))

    def _most_generated(self, context_length: int) -> int:
        """Tokens that may be generated; without ``max_tokens``, those of the first step."""
        wanted = self._plan.request.max_tokens
        most = STEP if wanted is None else wanted
        return sum(min(most, context_length - stream.prompt_tokens) for stream in self._streams)

    def _have_begun(self) -> bool:
        return any(stream.has_begun for stream in self._streams)

    def _give_up(self, error: DeadlineExceeded) -> None:
        for stream in self._streams:
            stream.give_up(error)

    def _count(self, index: int, delta: TextDelta) -> None:
        self._account.note(index, delta)
        so_far = self._usages[index]
        self._usages[index] = delta.usage or Usage(
            so_far.prompt_tokens,
            so_far.cached_tokens + (delta.cached_tokens or 0),
            so_far.completion_tokens + len(delta.token_ids),
        )
