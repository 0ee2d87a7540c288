"""From a plan to a response: the part of a route that is the same for all of them."""

from dataclasses import dataclass

from fastapi import Response

from codeserve.app.api.openai.choices import Choices, Plan
from codeserve.app.api.openai.protocol import GenerationBody
from codeserve.app.api.openai.replies import Reply, streamed_reply, whole_reply
from codeserve.app.edge.disconnect import until_disconnect
from codeserve.app.edge.exchange import Exchange
from codeserve.app.edge.sse import event_stream
from codeserve.app.manager.lease import LeasedModel


@dataclass(frozen=True, slots=True)
class Responder:
    """Runs plans and writes what they yield."""

    keepalive_seconds: float

    async def respond(
        self,
        exchange: Exchange,
        model: LeasedModel,
        plan: Plan,
        reply: Reply,
        body: GenerationBody,
    ) -> Response:
        """The response to ``body``, streamed or whole.

        A stream begins when the model has accepted the plan, so a refusal is a response of its
        own. A client that goes away, queued or served, ends the generations.
        """

        async def start() -> Choices:
            return await exchange.resources.enter_async_context(
                Choices.start(model, plan, exchange.record)
            )

        async def finish() -> Response:
            return await whole_reply(await start(), reply)

        if not body.stream:
            return await until_disconnect(exchange.request, finish())
        choices = await until_disconnect(exchange.request, start())
        events = streamed_reply(choices, reply, exchange.record, with_usage=body.wants_usage)
        return event_stream(events, self.keepalive_seconds)
