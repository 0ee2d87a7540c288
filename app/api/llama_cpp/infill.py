"""POST /infill: the hole at an editor's cursor is filled."""

import msgspec
from fastapi import Response

from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.generation.output_form import prescribed_by
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.llama_cpp.options import GenerationOptions, settings
from codeserve.app.api.llama_cpp.reply import NativeReply
from codeserve.app.api.llama_cpp.window import Surroundings, fit
from codeserve.app.api.openai.body import Body
from codeserve.app.edge.exchange import CurrentExchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.errors import UnsupportedFeature
from codeserve.engines.types import Lane, TextRequest
from codeserve.model_specs.prompt import ContextFile

OUTPUT_SHARE = 4
"""Of the context, one part in so many is kept free for the text, or less if less is asked for."""

UNNAMED = "context"
"""Heads a piece of context without a file name."""


class InputExtra(Body):
    """A piece of another file, or of another place in the same file."""

    text: str
    filename: str | None = None


class InfillRequest(GenerationOptions):
    """POST /infill."""

    input_prefix: str
    """The lines before the cursor's."""
    input_suffix: str
    """Everything after the cursor."""
    input_extra: list[InputExtra] | None = None
    """Context, the oldest first; it stands between the BOS and the prefix."""
    prompt: str | None = None
    """The cursor's line up to the cursor; it goes on where ``input_prefix`` ends."""

    @property
    def surroundings(self) -> Surroundings:
        """What the model is shown."""
        files = (
            ContextFile(extra.filename or UNNAMED, extra.text) for extra in self.input_extra or ()
        )
        return Surroundings(
            self.input_prefix + (self.prompt or ""), self.input_suffix, tuple(files)
        )


class InfillHandler:
    """Serves POST /infill."""

    def __init__(self, models: ModelChoice, responder: Responder) -> None:
        self._models = models
        self._responder = responder

    async def handle(self, body: InfillRequest, exchange: CurrentExchange) -> Response:
        """Fill the hole between prefix and suffix."""
        exchange.record.model = body.model
        model = await self._models.lease_for(exchange, body.model, stream=bool(body.stream))
        exchange.record.model = model.id
        _check(model)
        request = _in_its_lane(await body.request(model))
        most = _prompt_tokens(body, model.info.context_length)
        prompt = await fit(body.surroundings, most, model)
        shown = settings(body, request, model)
        reply = NativeReply(model.id, model.info.context_length, body, shown, is_cut=prompt.is_cut)
        plan = Plan(
            id=reply.id,
            prompts=[prompt.segments],
            choices_per_prompt=body.choices_per_prompt,
            request=request,
        )
        with prescribed_by(body.form_field):
            return await self._responder.respond(
                exchange, model, plan, reply, stream=bool(body.stream)
            )


def _in_its_lane(request: TextRequest) -> TextRequest:
    """A warm-up is in no hurry; a hole is filled while somebody waits."""
    lane = Lane.NORMAL if request.priority else Lane.INTERACTIVE
    return msgspec.structs.replace(request, lane=lane)


def _check(model: LeasedModel) -> None:
    """Raise UnsupportedFeature for a model that was not trained to fill in a middle."""
    if not model.prompts.can_fill:
        raise UnsupportedFeature(
            f"The model {model.id!r} was not trained to fill in a middle. Use a base model that "
            "was, such as deepseek-coder in size 1_3, 6_7 or 33.",
            param="model",
            code="fim_not_supported",
        )


def _prompt_tokens(body: InfillRequest, context_length: int) -> int:
    """Most tokens that the prompt may have."""
    for_output = context_length // OUTPUT_SHARE
    if body.limit is not None:
        for_output = min(for_output, max(body.limit, 1))
    return context_length - for_output
