"""POST /v1/responses: the model's answer to a conversation, of which nothing is stored."""

import time
import uuid
from typing import Any, NoReturn

from fastapi import Response as HttpResponse

from codeserve.app.api.generation import output_form
from codeserve.app.api.generation.defaults import sampling_of
from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.refusals import refuse
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.responses.reply import ResponseReply
from codeserve.app.api.responses.request_types import ResponseRequest, TextFormat
from codeserve.app.api.responses.response_types import InputTokenCount, Response
from codeserve.app.api.responses.tools import toolbox_of
from codeserve.app.api.responses.unsupported import REFUSED, STATELESS
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import NothingStored
from codeserve.engines.types import Grammar, SamplingParams, TextRequest
from codeserve.model_specs.errors import PromptError
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import PromptSegments


class ResponsesHandler:
    """Serves POST /v1/responses and POST /v1/responses/input_tokens, and says of every stored
    response that there is none."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def create(self, body: ResponseRequest, exchange: CurrentExchange) -> HttpResponse:
        """The model's next message, or its calls of `tools`. Nothing is stored: each request brings
        its whole conversation, whatever `store` says."""
        model = await self._lease(body, exchange, stream=bool(body.stream))
        toolbox = _toolbox(body)
        given = {
            "temperature": body.temperature,
            "top_p": body.top_p,
            "grammar": toolbox.grammar(_grammar(body.text_format)),
        }
        sampling = sampling_of(given, model.info.variant)
        response = _response(body, model.id, sampling)
        plan = Plan(
            id=response.id,
            prompts=[_prompt(body, toolbox, model.prompts)],
            request=TextRequest(
                max_tokens=body.max_output_tokens,
                logprobs=body.logprobs,
                sampling=sampling,
                prompt_name="input",
            ),
        )
        reply = ResponseReply(response, with_calls=toolbox.is_open)
        with toolbox.blamed(), output_form.prescribed_by("text.format.schema"):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )

    async def count_tokens(
        self, body: ResponseRequest, exchange: CurrentExchange
    ) -> InputTokenCount:
        """How many tokens the prompt of such a response would be, with all that the model's
        template and the tools add."""
        model = await self._lease(body, exchange, stream=False)
        prompt = _prompt(body, _toolbox(body), model.prompts)
        return InputTokenCount(input_tokens=len((await model.tokenize(prompt)).token_ids))

    async def find(self, response_id: str) -> NoReturn:
        """Always 404: this server stores no responses."""
        raise NothingStored(
            f"Response with id {response_id!r} not found. {STATELESS}", param="response_id"
        )

    async def _lease(
        self, body: ResponseRequest, exchange: CurrentExchange, *, stream: bool
    ) -> LeasedModel:
        exchange.record.model = body.model
        refuse(body.model_extra or {}, REFUSED, "/v1/responses")
        return await lease(exchange, self._manager, body.model, stream=stream)


def _toolbox(body: ResponseRequest) -> Toolbox:
    parallel = body.parallel_tool_calls is not False
    return toolbox_of(body.tools, body.tool_choice, parallel=parallel)


def _prompt(body: ResponseRequest, toolbox: Toolbox, prompts: PromptFormat) -> PromptSegments:
    begins = [Turn(role="system", text=body.instructions)] if body.instructions else []
    try:
        return prompts.chat(toolbox.messages((*begins, *body.input), param="input"))
    except PromptError as error:
        raise PromptError(error.message, param="input", code=error.code) from error


def _grammar(form: TextFormat | None) -> Grammar | None:
    match form:
        case TextFormat(type="json_object"):
            return output_form.json_object()
        case TextFormat(type="json_schema", schema_=dict(schema)):
            return output_form.json_schema(schema)
        case _:
            return None


def _response(body: ResponseRequest, model: str, sampling: SamplingParams) -> Response:
    """The response before anything is generated."""
    return Response(
        id=f"resp_{uuid.uuid4().hex}",
        created_at=int(time.time()),
        model=model,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_logprobs=body.top_logprobs or 0,
        text=_text_options(body),
        tools=list(body.tools),
        tool_choice=body.tool_choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        metadata=body.metadata or {},
        user=body.user,
    )


def _text_options(body: ResponseRequest) -> dict[str, Any]:
    form = body.text_format or TextFormat(type="text")
    return {"format": form.model_dump(by_alias=True, exclude_none=True)}
