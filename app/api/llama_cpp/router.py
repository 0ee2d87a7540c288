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
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.manager.manager import ModelManager

BASE, INSTRUCT = "deepseek-coder-base", "deepseek-coder-instruct"

COMPLETIONS = {
    "continue": {"model": BASE, "prompt": "def add(a, b):\n", "n_predict": 32},
    "stream": {"model": BASE, "prompt": "def add(a, b):\n", "n_predict": 32, "stream": True},
    "mix texts and token ids": {"model": BASE, "prompt": [1551, 957, "(a, b):\n"], "n_predict": 32},
}

INFILLS = {
    "fill": {
        "model": BASE,
        "input_prefix": "def add(a, b):\n",
        "input_suffix": "\n    return total\n",
        "input_extra": [{"filename": "use.py", "text": "print(add(1, 2))\n"}],
        "prompt": "    ",
        "n_predict": 32,
    },
    "warm up": {
        "model": BASE,
        "input_prefix": "",
        "input_suffix": "",
        "input_extra": [{"filename": "use.py", "text": "print(add(1, 2))\n"}],
        "n_predict": 0,
        "response_fields": [""],
    },
}

TEXTS = {
    "llama.cpp": {"model": BASE, "content": "def add(a, b):", "add_special": True},
    "vLLM": {"model": BASE, "prompt": "def add(a, b):", "add_special_tokens": True},
}

TOKENS = {"tokens": {"model": BASE, "tokens": [1551, 957]}}

CONVERSATIONS = {"render": {"model": INSTRUCT, "messages": [{"role": "user", "content": "Hello"}]}}

GENERATED: dict[str, Any] = {
    "model": Result | list[Result] | dict[str, Any],
    "description": (
        "The result; an array of the results of several prompts or choices; with "
        "`response_fields` the chosen fields under their paths. With `stream` server-sent events, "
        "each with `content` and `stop`, and without `[DONE]`."
    ),
    "content": EVENT_STREAM,
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
            openapi_extra=request_examples(COMPLETIONS),
        )
    router.add_api_route(
        "/infill",
        infills.handle,
        methods=["POST"],
        summary="Fill the hole at an editor's cursor",
        response_model=None,
        responses={200: GENERATED},
        openapi_extra=request_examples(INFILLS),
    )
    _add_token_routes(router, manager, models)
    return router


def _add_token_routes(router: APIRouter, manager: ModelManager, models: ModelChoice) -> None:
    tokenization, templates = TokenizationHandler(models), TemplateHandler(models)
    props = PropsHandler(manager, models)
    posts = (
        ("/tokenize", tokenization.tokenize, "Text to token ids", TEXTS),
        ("/detokenize", tokenization.detokenize, "Token ids to text", TOKENS),
        ("/apply-template", templates.handle, "A conversation's prompt", CONVERSATIONS),
    )
    gets = (
        ("/props", props.props, "A model and the defaults of requests to it"),
        ("/tokenizer_info", props.tokenizer_info, "A model's control tokens and chat template"),
        ("/version", props.version, "The server's version"),
    )
    for path, handle, summary, examples in posts:
        router.add_api_route(
            path,
            handle,
            methods=["POST"],
            summary=summary,
            response_model_exclude_none=True,
            openapi_extra=request_examples(examples),
        )
    for path, show, summary in gets:
        router.add_api_route(path, show, summary=summary, response_model_exclude_none=True)
