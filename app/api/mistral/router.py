"""Mistral's route for fill-in-the-middle, which editors know from Codestral."""

from fastapi import APIRouter

from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.mistral.fim import FimHandler
from codeserve.app.api.mistral.fim_types import FimCompletion
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.manager.manager import ModelManager

FILLS = {
    "fill": {
        "model": "deepseek-coder-base",
        "prompt": "def add(a, b):\n    ",
        "suffix": "\n    return total\n",
        "max_tokens": 64,
        "temperature": 0,
    },
}


def mistral_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """``/v1/fim/completions``; a missing ``model`` is chosen by the server."""
    router = APIRouter(tags=["mistral"])
    router.add_api_route(
        "/v1/fim/completions",
        FimHandler(ModelChoice(manager), responder).handle,
        methods=["POST"],
        summary="Fill a hole, in Mistral's dialect",
        response_model=None,
        responses={
            200: {
                "model": FimCompletion,
                "description": "JSON, or with `stream` server-sent events.",
                "content": EVENT_STREAM,
            }
        },
        openapi_extra=request_examples(FILLS),
    )
    return router
