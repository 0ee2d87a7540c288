"""Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from codeserve.app.api.anthropic.handler import MessagesHandler
from codeserve.app.api.anthropic.message_types import AssistantMessage, TokenCountReply
from codeserve.app.api.generation.responder import Responder
from codeserve.app.edge.documentation import EVENT_STREAM, request_examples
from codeserve.app.manager.manager import ModelManager

QUESTION: Mapping[str, Any] = {
    "model": "coder",
    "messages": [{"role": "user", "content": "What is a B-tree?"}],
}
TOOL: Mapping[str, Any] = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
MESSAGES: Mapping[str, Any] = {
    "A question": {**QUESTION, "max_tokens": 200},
    "A beginning to go on with, streamed": {
        "model": "coder",
        "max_tokens": 200,
        "system": "Answer with code alone.",
        "messages": [
            {"role": "user", "content": "Add two numbers in Python."},
            {"role": "assistant", "content": "def add("},
        ],
        "stop_sequences": ["\n\n"],
        "stream": True,
    },
    "A tool to use": {**QUESTION, "max_tokens": 200, "tools": [TOOL]},
}
COUNTS: Mapping[str, Any] = {"A question": QUESTION, "With a tool": {**QUESTION, "tools": [TOOL]}}

REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": AssistantMessage,
        "description": "JSON, or with `stream` server-sent events.",
        "content": EVENT_STREAM,
    }
}


def anthropic_router(manager: ModelManager, responder: Responder) -> APIRouter:
    """The routes of the Messages API."""
    router = APIRouter(tags=["anthropic"])
    handler = MessagesHandler(manager, responder)
    router.add_api_route(
        "/v1/messages",
        handler.create,
        methods=["POST"],
        summary="Create a message",
        response_model=None,
        responses=REPLIES,
        openapi_extra=request_examples(MESSAGES),
    )
    router.add_api_route(
        "/v1/messages/count_tokens",
        handler.count_tokens,
        methods=["POST"],
        summary="Count the tokens of a message",
        response_model=TokenCountReply,
        openapi_extra=request_examples(COUNTS),
    )
    return router
