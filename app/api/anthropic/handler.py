"""POST /v1/messages: the assistant's next turn."""

from fastapi import Response

from codeserve.app.api.anthropic.message_types import TokenCountReply
from codeserve.app.api.anthropic.reply import MessageReply
from codeserve.app.api.anthropic.request_types import CountRequest, MessageRequest
from codeserve.app.api.anthropic.tools import toolbox_of
from codeserve.app.api.anthropic.unsupported import REFUSED
from codeserve.app.api.generation import output_form
from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.refusals import refuse
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar, SamplingParams, TextRequest
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import PromptSegments


class MessagesHandler:
    """Serves POST /v1/messages and POST /v1/messages/count_tokens."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def create(self, body: MessageRequest, exchange: CurrentExchange) -> Response:
        """The assistant's next turn: text, or uses of `tools`. Where the last message is the
        assistant's, its text goes on."""
        model = await self._lease(body, exchange, stream=bool(body.stream))
        toolbox = toolbox_of(body.tools, body.tool_choice)
        reply = MessageReply(model.id, exchange.record.id, with_calls=toolbox.is_open)
        plan = Plan(
            id=reply.id,
            prompts=[_prompt(body, toolbox, model.prompts)],
            request=TextRequest(
                max_tokens=body.max_tokens,
                stop=body.stop_sequences,
                sampling=_sampling(body, toolbox.grammar(_grammar(body)), model),
                show_prompt=body.max_tokens == 0,
                prompt_name="messages",
            ),
        )
        with toolbox.blamed(), output_form.prescribed_by("output_config.format.schema"):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )

    async def count_tokens(self, body: CountRequest, exchange: CurrentExchange) -> TokenCountReply:
        """How many tokens the prompt of such a message would be, with all that the model's
        template and the tools add."""
        model = await self._lease(body, exchange, stream=False)
        prompt = _prompt(body, toolbox_of(body.tools, body.tool_choice), model.prompts)
        return TokenCountReply(input_tokens=len((await model.tokenize(prompt)).token_ids))

    async def _lease(
        self, body: CountRequest, exchange: CurrentExchange, *, stream: bool
    ) -> LeasedModel:
        exchange.record.model = body.model
        refuse(body.model_extra or {}, REFUSED, "/v1/messages")
        return await lease(exchange, self._manager, body.model, stream=stream)


def _prompt(body: CountRequest, toolbox: Toolbox, prompts: PromptFormat) -> PromptSegments:
    last = body.messages[-1] if body.messages else None
    if last is not None and last.tool_calls:
        raise InvalidRequest(
            f"The tool use {last.tool_calls[-1].id!r} has no 'tool_result' in a message after it.",
            param="messages",
            code="invalid_value",
        )
    return prompts.chat(
        toolbox.messages((*body.system, *body.messages)),
        continue_final_message=last is not None and last.role == "assistant",
    )


def _sampling(body: MessageRequest, grammar: Grammar | None, model: LeasedModel) -> SamplingParams:
    given = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "grammar": grammar,
    }
    return sampling_of(given, model.info.variant)


def _grammar(body: MessageRequest) -> Grammar | None:
    config = body.output_config
    if config is None or config.format is None:
        return None
    return output_form.json_schema(config.format.schema_)
