"""From a plan to a response: the part of a route that is the same for all of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Response
from msgspec.structs import replace

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.deadlines import Deadlines, timeouts_of
from codeserve.app.api.generation.lanes import lane_of
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.reply import Reply
from codeserve.app.edge.auth import key_of
from codeserve.app.edge.disconnect import until_disconnect
from codeserve.app.edge.errors import as_serving_error
from codeserve.app.edge.exchange import Exchange
from codeserve.app.edge.record import RequestRecord
from codeserve.app.edge.token_budget import budget_of
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.types import Lane


@dataclass(frozen=True, slots=True)
class Responder:
    """Runs plans and writes what they yield."""

    keepalive_seconds: float

    async def respond(
        self, exchange: Exchange, model: LeasedModel, plan: Plan, reply: Reply, *, stream: bool
    ) -> Response:
        """The response of ``model`` to ``plan``, as a stream or whole.

        A stream begins when the model has accepted the plan, so a refusal is a response of its
        own. A client that goes away, queued or served, ends the generations, and so does a
        deadline.
        """
        record, headers = exchange.record, exchange.request.headers
        timeouts = timeouts_of(headers, model.timeouts)
        deadlines = Deadlines(timeouts, record.started)
        budget = budget_of(exchange.request.scope)
        key = key_of(exchange.request.scope)
        best = Lane.INTERACTIVE if key is None else key.lane
        record.lane = lane_of(headers, plan.request.lane, best)
        request = replace(plan.request, lane=record.lane, queue_timeout=timeouts.queue)
        plan = replace(plan, request=request)
        record.stream, record.choices = stream, plan.choices
        record.max_tokens = plan.request.max_tokens

        async def start() -> Choices:
            return await exchange.resources.enter_async_context(
                Choices.start(model, plan, record, deadlines, budget)
            )

        async def finish() -> Response:
            return await _whole(await start(), reply)

        if not stream:
            return await until_disconnect(exchange.request, finish())
        choices = await until_disconnect(exchange.request, start())
        return reply.stream(_frames(choices, reply, record), self.keepalive_seconds)


async def _whole(choices: Choices, reply: Reply) -> Response:
    """Wait for all ``choices`` and write them as one JSON body."""
    answers = [Answer(index) for index in range(len(choices))]
    async for index, delta in choices:
        answers[index].add(delta)
    body = reply.whole(answers, choices.usage)
    return Response(body, media_type="application/json")


async def _frames(choices: Choices, reply: Reply, record: RequestRecord) -> AsyncIterator[bytes]:
    """A stream to its end; an error on the way is a frame, too."""
    try:
        for frame in reply.opening(choices):
            yield frame
        async for index, delta in choices:
            for frame in reply.frames(choices, index, delta):
                yield frame
        closing = reply.closing(choices.usage)
    except Exception as failure:  # noqa: BLE001 - logged where nobody expected it
        error = as_serving_error(failure, record)
        record.error = error.code or error.type
        closing = reply.failure(error)
    for frame in closing:
        yield frame
