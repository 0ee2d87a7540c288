"""POST /v1/embeddings: not available, in words that say what to do."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from codeserve.app.api.openai.body import Body
from codeserve.app.edge.auth import CurrentKey, require_model
from codeserve.app.edge.documentation import request_examples
from codeserve.app.edge.errors import ErrorReply
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import UnsupportedFeature

EXAMPLE = {"model": "deepseek-coder-base", "input": "def mean(values):"}


class EmbeddingsRequest(Body):
    """POST /v1/embeddings."""

    model: Annotated[str, Field(min_length=1)]


class EmbeddingsHandler:
    """Serves POST /v1/embeddings."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def handle(self, body: EmbeddingsRequest, key: CurrentKey) -> None:
        """Not available: the models here generate text. Unknown models are still told apart."""
        require_model(key, body.model)
        model = self._manager.status(body.model)
        raise UnsupportedFeature(
            f"The model {model.id!r} generates text and makes no embeddings. Use a server of "
            "embedding models for this request, and this one for completions and chats.",
            param="model",
        )


def embeddings_router(manager: ModelManager) -> APIRouter:
    """``/v1/embeddings``, with and without ``/v1``."""
    router = APIRouter(tags=["openai"])
    refusal: dict[str, Any] = {"model": ErrorReply, "description": "Always."}
    for path in ("/v1/embeddings", "/embeddings"):
        router.add_api_route(
            path,
            EmbeddingsHandler(manager).handle,
            methods=["POST"],
            summary="Embed text for OpenAI's clients: not available",
            status_code=400,
            responses={400: refusal},
            openapi_extra=request_examples({"a text": EXAMPLE}),
        )
    return router
