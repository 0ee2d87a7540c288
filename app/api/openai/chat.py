"""POST /v1/chat/completions: the assistant's next turn."""

import msgspec
from fastapi import Response

from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.chat_reply import ChatReply
from codeserve.app.api.openai.chat_tools import toolbox_of, turn_of
from codeserve.app.api.openai.chat_types import ChatRequest
from codeserve.app.api.openai.forms import naming_form
from codeserve.app.api.openai.text_request import text_request
from codeserve.app.api.openai.unsupported import CHAT, refuse_unsupported
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import EngineInfo, TextRequest
from codeserve.model_specs.segments import PromptSegments


class ChatHandler:
    """Serves POST /v1/chat/completions."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: ChatRequest, exchange: CurrentExchange) -> Response:
        """Answer the conversation."""
        exchange.record.model = body.model
        refuse_unsupported(body.model_extra or {}, CHAT)
        toolbox = toolbox_of(body)
        turns = [turn_of(index, message) for index, message in enumerate(body.messages)]
        model = await lease(exchange, self._manager, body.model, stream=bool(body.stream))
        reply = ChatReply(
            model.id, body, reads_calls=toolbox.is_open, begun=_begun(body, turns[-1])
        )
        plan = Plan(
            id=reply.id,
            prompts=[_segments(body, toolbox, turns, model)],
            choices_per_prompt=body.choices_per_prompt,
            request=_request(body, toolbox, model.info),
        )
        with toolbox.blamed(), naming_form(body):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )


def _begun(body: ChatRequest, last: Turn) -> str:
    """What the answer shows before anything is generated."""
    return last.text if body.echo and last.role == "assistant" else ""


def _segments(
    body: ChatRequest, toolbox: Toolbox, turns: list[Turn], model: LeasedModel
) -> PromptSegments:
    if body.continue_final_message and turns[-1].tool_calls:
        raise InvalidRequest(
            "The last message calls tools, so that it cannot go on; send the results, or a message "
            "without calls.",
            param="continue_final_message",
            code="invalid_value",
        )
    return model.prompts.chat(
        toolbox.messages(turns),
        add_generation_prompt=body.add_generation_prompt is not False,
        continue_final_message=bool(body.continue_final_message),
    )


def _request(body: ChatRequest, toolbox: Toolbox, info: EngineInfo) -> TextRequest:
    """How the conversation is to be continued."""
    given = body.max_completion_tokens
    request = text_request(body, info, body.limit(None) if given is None else given)
    if body.ignore_eos and toolbox.is_open:
        raise InvalidRequest(
            "Invalid 'ignore_eos': an answer that may call tools ends where its calls do.",
            param="ignore_eos",
            code="invalid_value",
        )
    sampling, replace = request.sampling, msgspec.structs.replace
    return replace(
        request,
        prompt_name="messages",
        sampling=replace(sampling, grammar=toolbox.grammar(sampling.grammar)),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        prompt_logprobs=body.prompt_logprobs,
        show_prompt=bool(body.return_token_ids) or body.prompt_logprobs is not None,
    )
