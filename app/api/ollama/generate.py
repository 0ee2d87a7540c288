"""POST /api/generate: one prompt, in the model's template, raw, or around a hole."""

from collections.abc import Iterable, Mapping

from fastapi import Response

from codeserve.app.api.generation.json_frames import JsonFrames, compact_json
from codeserve.app.api.generation.leasing import lease
from codeserve.app.api.generation.output_form import prescribed_by
from codeserve.app.api.generation.plan import Plan
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.ollama.generate_types import (
    GenerateLoaded,
    GeneratePiece,
    GenerateRequest,
    GenerateResult,
)
from codeserve.app.api.ollama.metrics import Metrics
from codeserve.app.api.ollama.names import served_id
from codeserve.app.api.ollama.options import Options
from codeserve.app.api.ollama.replies import OllamaReply
from codeserve.app.api.ollama.times import now
from codeserve.app.api.openai.unsupported import Neutral, refuse_unsupported
from codeserve.app.edge.exchange import CurrentExchange, Exchange
from codeserve.app.edge.ndjson import line
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import FinishReason, Lane, TextDelta, TextRequest
from codeserve.model_specs.segments import PromptSegments

UNSUPPORTED: Mapping[str, Neutral] = {
    "context": ([],),
    "images": ([],),
    "logprobs": (False,),
    "template": ("",),
    "think": (False,),
    "top_logprobs": (0,),
}
"""Fields that would mislead if they were ignored, with the values that ask for nothing."""


class GenerateReply(OllamaReply):
    """Ollama's ``response``."""

    def __init__(self, model: str, exchange: Exchange) -> None:
        super().__init__(model, exchange)
        self._texts = JsonFrames(line)

    def pieces(self, delta: TextDelta) -> Iterable[bytes]:
        """Text, if there is any."""
        if delta.text:
            yield self._texts.frame("text", delta.text, self._piece)

    def result(self, text: str, reason: FinishReason, metrics: Metrics) -> GenerateResult:
        """The last line, or the whole reply."""
        return GenerateResult(
            model=self._model,
            created_at=self._created_at,
            response=text,
            done_reason=reason,
            **metrics.model_dump(),
        )

    def _piece(self, text: str) -> GeneratePiece:
        return GeneratePiece(model=self._model, created_at=self._created_at, response=text)


class GenerateHandler:
    """Serves POST /api/generate."""

    def __init__(self, manager: ModelManager, responder: Responder) -> None:
        self._manager = manager
        self._responder = responder

    async def handle(self, body: GenerateRequest, exchange: CurrentExchange) -> Response:
        """Answer the prompt, continue it, or fill the hole between it and ``suffix``.

        Without ``raw`` and ``suffix``, the prompt goes to a model that chats as a user's message
        in its template, and as it is to one that does not. A request without a prompt asks whether
        the model is loaded.
        """
        model_id = exchange.record.model = served_id(self._manager, body.model)
        model = await lease(exchange, self._manager, model_id, stream=False)
        refuse_unsupported(body.model_extra or {}, UNSUPPORTED)
        if not body.prompt and not body.suffix:
            loaded = GenerateLoaded(model=body.model, created_at=now(), response="")
            return Response(compact_json(loaded), media_type="application/json")
        reply = GenerateReply(body.model, exchange)
        options = body.options or Options()
        plan = Plan(
            id=reply.id,
            prompts=[_segments(body, model)],
            request=TextRequest(
                max_tokens=options.max_tokens,
                stop=options.stop,
                sampling=options.sampling(body.format, model.info.variant),
                lane=Lane.INTERACTIVE if body.suffix else Lane.NORMAL,
            ),
        )
        stream = body.stream is not False
        with prescribed_by("format"):
            return await self._responder.respond(exchange, model, plan, reply, stream=stream)


def _segments(body: GenerateRequest, model: LeasedModel) -> PromptSegments:
    """The prompt in the form that ``body`` asks for. Raises InvalidRequest for fields that cannot
    go together."""
    prompt, prompts = body.prompt or "", model.prompts
    if body.suffix:
        _refuse_beside("suffix", system=body.system, raw=body.raw)
        return prompts.fim(prompt, body.suffix)
    if body.raw or not prompts.can_chat:
        _refuse_beside("raw" if body.raw else "prompt", system=body.system)
        return prompts.raw(prompt)
    system = [{"role": "system", "content": body.system}] if body.system else []
    return prompts.chat([*system, {"role": "user", "content": prompt}])


def _refuse_beside(reason: str, **fields: object) -> None:
    """Raise InvalidRequest for the first of ``fields`` that has a value."""
    for name, value in fields.items():
        if value:
            raise InvalidRequest(
                f"'{name}' has no place {PLACES[reason]}. Remove it from the request.",
                param=name,
                code="invalid_value",
            )


PLACES: Mapping[str, str] = {
    "suffix": "beside a suffix: the model gets the prompt, the hole and the suffix, no more",
    "raw": "in a raw prompt, which the model gets as it is",
    "prompt": "with this model, which has no chat template",
}
"""Why a prompt takes nothing else, by what makes it so."""
