"""The routes of llama.cpp's server, and those of vLLM that concern tokens."""

from typing import Any

from fastapi import APIRouter

from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.llama_cpp.completion import CompletionHandler
from codeserve.app.api.llama_cpp.conversation import TemplateHandler
from codeserve.app.api.llama_cpp.infill import InfillHandler
from codeserve.app.api.llama_cpp.props import PropsHandler
from codeserve.app.api.llama_cpp.result import Result
from codeserve.app.api.llama_cpp.tokenization import TokenizationHandler
from codeserve.app.manager.manager import ModelManager

GENERATED: dict[str, Any] = {
    "model": Result | list[Result] | dict[str, Any],
    "description": (
        "The result; an array of the results of several prompts or choices; with "
        "`response_fields` the chosen fields under their paths. With `stream` server-sent events, "
        "each with `content` and `stop`, and without `[DONE]`."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def llama_cpp_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """Completion, infill, tokens and properties; a missing ``model`` is chosen by the server."""
    router = APIRouter(tags=["llama.cpp"])
    models = ModelChoice(manager)
    completions = CompletionHandler(models, responder)
    infills = InfillHandler(models, responder)

    for path in ("/completion", "/completions"):
        router.add_api_route(
            path,
            completions.handle,
            methods=["POST"],
            summary="Continue a prompt, in llama.cpp's dialect",
            response_model=None,
            responses={200: GENERATED},
        )
    router.add_api_route(
        "/infill",
        infills.handle,
        methods=["POST"],
        summary="Fill the hole at an editor's cursor",
        response_model=None,
        responses={200: GENERATED},
    )
    _add_token_routes(router, manager, models)
    return router


def _add_token_routes(router: APIRouter, manager: ModelManager, models: ModelChoice) -> None:
    tokenization, props = TokenizationHandler(models), PropsHandler(manager, models)
    posts = (
        ("/tokenize", tokenization.tokenize, "Text to token ids"),
        ("/detokenize", tokenization.detokenize, "Token ids to text"),
        ("/apply-template", TemplateHandler(models).handle, "A conversation's prompt"),
    )
    gets = (
        ("/props", props.props, "A model and the defaults of requests to it"),
        ("/tokenizer_info", props.tokenizer_info, "A model's control tokens and chat template"),
        ("/version", props.version, "The server's version"),
    )
    for method, routes in (("POST", posts), ("GET", gets)):
        for path, handle, summary in routes:
            router.add_api_route(
                path, handle, methods=[method], summary=summary, response_model_exclude_none=True
            )
