"""OpenAI's routes, with and without ``/v1``."""

from typing import Any

from fastapi import APIRouter

from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.openai.chat import ChatHandler
from codeserve.app.api.openai.chat_types import ChatCompletion
from codeserve.app.api.openai.completion_types import Completion
from codeserve.app.api.openai.completions import CompletionHandler
from codeserve.app.api.openai.models import ModelsHandler
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.manager.manager import ModelManager

COMPLETIONS = {
    "continue": {"model": "deepseek-coder", "prompt": "def quicksort(", "max_tokens": 64},
    "fill in the middle": {
        "model": "deepseek-coder",
        "prompt": "def mean(values):\n    return ",
        "suffix": " / len(values)\n",
        "stream": True,
    },
    "score a text": {
        "model": "deepseek-coder",
        "prompt": "def add(a, b): return a + b",
        "max_tokens": 0,
        "echo": True,
        "logprobs": 5,
    },
    "answer in a form": {
        "model": "deepseek-coder",
        "prompt": "The capital of France as JSON: ",
        "structured_outputs": {
            "json": {"type": "object", "properties": {"capital": {"type": "string"}}}
        },
    },
}

CHATS = {
    "ask": {
        "model": "deepseek-coder-instruct",
        "messages": [{"role": "user", "content": "Write a quicksort in Rust."}],
    },
    "stream": {
        "model": "deepseek-coder-instruct",
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "What is a monad?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "call a tool": {
        "model": "deepseek-coder-instruct",
        "messages": [{"role": "user", "content": "Do the tests pass?"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "run_tests",
                    "description": "Run the tests of a folder.",
                    "parameters": {
                        "type": "object",
                        "properties": {"path": {"type": "string"}},
                        "required": ["path"],
                    },
                },
            }
        ],
        "tool_choice": "auto",
    },
}


def openai_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """Completions and chats. ``/completions`` is left to llama.cpp's native dialect."""
    router = APIRouter(tags=["openai"])
    completions = CompletionHandler(manager, responder)
    chat = ChatHandler(manager, responder)

    for path, handle, summary in (
        ("/v1/completions", completions.handle, "Complete text"),
        ("/beta/completions", completions.handle, "Complete text"),
        (
            "/v1/engines/{model_id:path}/completions",
            completions.handle_engine,
            "Complete text with the model that the path names",
        ),
    ):
        router.add_api_route(
            path,
            handle,
            methods=["POST"],
            summary=summary,
            response_model=None,
            responses={200: _generated(Completion)},
            openapi_extra=request_examples(COMPLETIONS),
        )
    for path in ("/v1/chat/completions", "/chat/completions"):
        router.add_api_route(
            path,
            chat.handle,
            methods=["POST"],
            summary="Answer a conversation",
            response_model=None,
            responses={200: _generated(ChatCompletion)},
            openapi_extra=request_examples(CHATS),
        )
    return router


def models_router(manager: ModelManager) -> APIRouter:
    """The models, which those who ask them and those who launch them list."""
    router = APIRouter(tags=["openai"])
    models = ModelsHandler(manager)
    for path in ("/v1/models", "/models"):
        router.add_api_route(path, models.list_models, summary="List models")
        router.add_api_route(f"{path}/{{model_id:path}}", models.show_model, summary="Show a model")
    return router


def _generated(model: type) -> dict[str, Any]:
    return {
        "model": model,
        "description": "JSON, or with `stream` server-sent events.",
        "content": EVENT_STREAM,
    }
