"""OpenAI's Responses API, with and without ``/v1``."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from codeserve.app.api.generation.responder import Responder
from codeserve.app.api.responses.handler import ResponsesHandler
from codeserve.app.api.responses.response_types import Response
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.edge.errors import ErrorReply
from codeserve.app.manager.manager import ModelManager

EXAMPLES: Mapping[str, Any] = {
    "A question": {"model": "coder", "input": "What is a B-tree?", "max_output_tokens": 200},
    "A conversation, streamed": {
        "model": "coder",
        "instructions": "Answer in one sentence.",
        "input": [
            {"role": "user", "content": "What is a B-tree?"},
            {"role": "assistant", "content": "A balanced search tree of wide nodes."},
            {"role": "user", "content": "Where is it used?"},
        ],
        "stream": True,
    },
    "A function to call": {
        "model": "coder",
        "input": "Is it raining in Rome?",
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "The weather of a city.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            }
        ],
    },
}

REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Response,
        "description": "JSON, or with `stream` server-sent events.",
        "content": EVENT_STREAM,
    }
}

STORED = (
    ("GET", "/{response_id}"),
    ("DELETE", "/{response_id}"),
    ("POST", "/{response_id}/cancel"),
    ("GET", "/{response_id}/input_items"),
)
"""What OpenAI does with stored responses."""


def responses_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """The routes of the Responses API."""
    router = APIRouter(tags=["responses"])
    handler = ResponsesHandler(manager, responder)
    for base in ("/v1/responses", "/responses"):
        router.add_api_route(
            base,
            handler.create,
            methods=["POST"],
            summary="Create a response",
            response_model=None,
            responses=REPLIES,
            openapi_extra=request_examples(EXAMPLES),
        )
        router.add_api_route(
            f"{base}/input_tokens",
            handler.count_tokens,
            methods=["POST"],
            summary="Count the tokens of a response's input",
            openapi_extra=request_examples(EXAMPLES),
        )
        for method, path in STORED:
            router.add_api_route(
                base + path,
                handler.find,
                methods=[method],
                summary="Stored responses: there are none",
                response_model=None,
                status_code=404,
                responses={404: {"model": ErrorReply, "description": "Nothing is stored."}},
            )
    return router
