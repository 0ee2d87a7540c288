"""POST /v1/completions: text goes on, or the hole before a suffix is filled."""

import msgspec
from fastapi import Response

from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.completion_reply import CompletionReply
from codeserve.app.api.openai.completion_types import CompletionFields, CompletionRequest
from codeserve.app.api.openai.forms import naming_form
from codeserve.app.api.openai.sampling import check_token_ids
from codeserve.app.api.openai.text_request import text_request
from codeserve.app.api.openai.unsupported import COMPLETION, refuse_unsupported
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import EngineInfo, Lane, TextRequest
from codeserve.model_specs.segments import Ids, PromptSegments

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default for this route."""


class CompletionHandler:
    """Serves POST /v1/completions."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: CompletionRequest, exchange: CurrentExchange) -> Response:
        """Continue each prompt, or fill the hole between it and ``suffix``."""
        return await self._complete(body.model, body, exchange)

    async def handle_engine(
        self, model_id: str, body: CompletionFields, exchange: CurrentExchange
    ) -> Response:
        """The same for the model that the path names, whatever the body says."""
        return await self._complete(model_id, body, exchange)

    async def _complete(
        self, model_id: str, body: CompletionFields, exchange: CurrentExchange
    ) -> Response:
        exchange.record.model = model_id
        refuse_unsupported(body.model_extra or {}, COMPLETION)
        model = await lease(exchange, self._manager, model_id, stream=bool(body.stream))
        variant = model.info.variant
        reply = CompletionReply(model.id, body, variant.control_tokens.get(variant.bos or ""))
        plan = Plan(
            id=reply.id,
            prompts=[_segments(prompt, body, model) for prompt in body.prompt],
            choices_per_prompt=body.candidates_per_prompt,
            request=_request(body, model.info),
        )
        with naming_form(body):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )


def _request(body: CompletionFields, info: EngineInfo) -> TextRequest:
    """How each prompt is continued, and what is to be known of it."""
    echoed = body.logprobs if body.echo else None
    of_prompt = [count for count in (body.prompt_logprobs, echoed) if count is not None]
    return msgspec.structs.replace(
        text_request(body, info, body.limit(DEFAULT_MAX_TOKENS)),
        logprobs=0 if body.ranks and body.logprobs is None else body.logprobs,
        prompt_logprobs=max(of_prompt, default=None),
        show_prompt=bool(body.echo or body.return_token_ids or of_prompt),
        lane=Lane.INTERACTIVE if body.suffix else Lane.NORMAL,
    )


def _segments(
    prompt: str | tuple[int, ...], body: CompletionFields, model: LeasedModel
) -> PromptSegments:
    """One prompt; token ids are taken verbatim, without a BOS of ours."""
    if isinstance(prompt, str):
        if body.suffix:
            return model.prompts.fim(prompt, body.suffix)
        return model.prompts.raw(prompt, add_bos=body.add_special_tokens is not False)
    if body.suffix:
        raise InvalidRequest(
            "A suffix goes with a prompt of text, but the prompt is an array of token ids.",
            param="suffix",
            code="invalid_value",
        )
    check_token_ids("prompt", prompt, model.info)
    return (Ids(prompt),)
