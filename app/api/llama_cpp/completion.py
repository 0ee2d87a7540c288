"""POST /completion: text goes on."""

from fastapi import Response

from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.generation.output_form import prescribed_by
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.llama_cpp.fields import Prompt, Prompts, check_ids
from codeserve.app.api.llama_cpp.options import GenerationOptions, settings
from codeserve.app.api.llama_cpp.reply import NativeReply
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.segments import Control, Ids, PromptSegments


class NativeCompletionRequest(GenerationOptions):
    """POST /completion."""

    prompt: Prompts
    """A string; an array of token ids, which strings may stand between; or an array of prompts."""


class CompletionHandler:
    """Serves POST /completion and /completions."""

    def __init__(self, models: ModelChoice, responder: Responder) -> None:
        self._models = models
        self._responder = responder

    async def handle(self, body: NativeCompletionRequest, exchange: CurrentExchange) -> Response:
        """Continue each prompt."""
        exchange.record.model = body.model
        model = await self._models.lease_for(exchange, body.model, stream=bool(body.stream))
        exchange.record.model = model.id
        request = await body.request(model)
        shown = settings(body, request, model)
        reply = NativeReply(model.id, model.info.context_length, body, shown)
        plan = Plan(
            id=reply.id,
            prompts=[
                _segments(prompt, model.prompts, model.info.vocab_size) for prompt in body.prompt
            ],
            choices_per_prompt=body.choices_per_prompt,
            request=request,
        )
        with prescribed_by(body.form_field):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )


def _segments(prompt: Prompt, prompts: PromptFormat, vocab_size: int) -> PromptSegments:
    """One prompt; there is a BOS of ours where it begins with a text.

    Raises InvalidRequest for an id outside the vocabulary.
    """
    segments: PromptSegments = ()
    for index, part in enumerate(prompt):
        if isinstance(part, str):
            segments += prompts.raw(part) if index == 0 else without_bos(part, prompts)
        else:
            check_ids(part, "prompt", vocab_size)
            segments += (Ids(part),)
    return segments


def without_bos(text: str, prompts: PromptFormat) -> PromptSegments:
    """A trusted text that does not begin a prompt, unless it spells the BOS itself."""
    bos = prompts.variant.bos
    segments = prompts.raw(text)
    begins = bos is not None and not text.startswith(bos)
    return segments[1:] if begins and segments[:1] == (Control(bos or ""),) else segments
