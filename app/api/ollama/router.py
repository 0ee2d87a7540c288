"""Ollama's routes."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.ollama.chat import ChatHandler
from codeserve.app.api.ollama.chat_types import ChatLoaded, ChatResult
from codeserve.app.api.ollama.errors import OllamaErrorReply
from codeserve.app.api.ollama.generate import GenerateHandler
from codeserve.app.api.ollama.generate_types import GenerateLoaded, GenerateResult
from codeserve.app.api.ollama.models import ModelsHandler
from codeserve.app.api.ollama.server import greet, show_version
from codeserve.app.api.ollama.unavailable import UnavailableHandler
from codeserve.app.edge.documentation import JSON_LINES, request_examples
from codeserve.app.manager.manager import ModelManager

REFUSED: dict[str, Any] = {"model": OllamaErrorReply, "description": "Always."}
MODEL = "deepseek-coder-instruct"
GENERATE = {
    "ask": {"model": MODEL, "prompt": "Write a quicksort in Rust."},
    "fill in the middle": {
        "model": "deepseek-coder-base",
        "prompt": "def mean(values):\n    return ",
        "suffix": " / len(values)\n",
        "stream": False,
        "options": {"temperature": 0, "num_predict": 64},
    },
}
CHAT = {
    "ask": {"model": MODEL, "messages": [{"role": "user", "content": "What is a monad?"}]},
    "whole": {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Name three sorting algorithms, as JSON."}],
        "format": "json",
        "stream": False,
    },
}


def ollama_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """Ollama's routes, under ``/api``, and the page at ``/`` that its clients look for."""
    router = APIRouter(tags=["ollama"])
    router.add_api_route("/", greet, response_class=PlainTextResponse, summary="Say hello")
    router.add_api_route("/api/version", show_version, summary="Show the version")
    _add_generation(router, manager, responder)
    _add_models(router, ModelsHandler(manager))
    _add_unavailable(router, UnavailableHandler(manager))
    return router


def _add_generation(router: APIRouter, manager: ModelManager, responder: Responder) -> None:
    router.add_api_route(
        "/api/generate",
        GenerateHandler(manager, responder).handle,
        methods=["POST"],
        summary="Generate from a prompt",
        response_model=None,
        responses={200: _generated(GenerateResult | GenerateLoaded)},
        openapi_extra=request_examples(GENERATE),
    )
    router.add_api_route(
        "/api/chat",
        ChatHandler(manager, responder).handle,
        methods=["POST"],
        summary="Chat",
        response_model=None,
        responses={200: _generated(ChatResult | ChatLoaded)},
        openapi_extra=request_examples(CHAT),
    )


def _add_models(router: APIRouter, models: ModelsHandler) -> None:
    router.add_api_route("/api/tags", models.tags, summary="List served models")
    router.add_api_route("/api/ps", models.ps, summary="List loaded models")
    for path, handle, summary in (
        ("/api/show", models.show, "Describe a model"),
        ("/api/pull", models.pull, "Make sure that a model is there"),
    ):
        router.add_api_route(
            path,
            handle,
            methods=["POST"],
            summary=summary,
            openapi_extra=request_examples({"by name": {"model": MODEL}}),
        )


def _add_unavailable(router: APIRouter, unavailable: UnavailableHandler) -> None:
    for method, operation, handle in (
        ("POST", "create", unavailable.create),
        ("POST", "copy", unavailable.copy),
        ("DELETE", "delete", unavailable.delete),
        ("POST", "push", unavailable.push),
    ):
        router.add_api_route(
            f"/api/{operation}",
            handle,
            methods=[method],
            summary=f"{operation.capitalize()} a model: not available",
            status_code=400,
            responses={400: REFUSED},
        )
    for path in ("/api/embed", "/api/embeddings"):
        router.add_api_route(
            path,
            unavailable.embed,
            methods=["POST"],
            summary="Embed text: not available",
            status_code=400,
            responses={400: REFUSED},
            openapi_extra=request_examples(
                {"a text": {"model": MODEL, "input": "Why is the sky blue?"}}
            ),
        )


def _generated(model: Any) -> dict[str, Any]:
    return {
        "model": model,
        "description": "With `stream`, which is the default, JSON objects, one a line; else the "
        "last one alone, with all of the text.",
        "content": JSON_LINES,
    }
