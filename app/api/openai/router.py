"""OpenAI's routes, with and without ``/v1``."""

from typing import Any

from fastapi import APIRouter

from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.chat import ChatHandler
from codeserve.app.api.openai.chat_types import ChatCompletion
from codeserve.app.api.openai.completion_types import Completion
from codeserve.app.api.openai.completions import CompletionHandler
from codeserve.app.api.openai.error_types import ErrorReply
from codeserve.app.api.openai.models import ModelsHandler
from codeserve.app.manager.manager import ModelManager

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "The request is malformed or asks too much."},
    404: {"model": ErrorReply, "description": "There is no such model."},
    413: {"model": ErrorReply, "description": "The body is too large."},
    429: {"model": ErrorReply, "description": "As many requests as allowed wait."},
    500: {"model": ErrorReply, "description": "The server broke."},
    503: {"model": ErrorReply, "description": "The model is loading, restarting or failed."},
}


def openai_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """Completions, chats and models. ``/completions`` is left to llama.cpp's native dialect."""
    router = APIRouter(tags=["openai"])
    completions = CompletionHandler(manager, responder)
    chat = ChatHandler(manager, responder)
    models = ModelsHandler(manager)

    router.add_api_route(
        "/v1/completions",
        completions.handle,
        methods=["POST"],
        response_model=None,
        responses={200: _generated(Completion), **ERRORS},
    )
    for path in ("/v1/chat/completions", "/chat/completions"):
        router.add_api_route(
            path,
            chat.handle,
            methods=["POST"],
            response_model=None,
            responses={200: _generated(ChatCompletion), **ERRORS},
        )
    for path in ("/v1/models", "/models"):
        router.add_api_route(path, models.list_models)
        router.add_api_route(
            f"{path}/{{model_id:path}}", models.show_model, responses={404: ERRORS[404]}
        )
    return router


def _generated(model: type) -> dict[str, Any]:
    stream: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "model": model,
        "description": "JSON, or with `stream` server-sent events.",
        "content": stream,
    }
