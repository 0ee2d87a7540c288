"""A place in a file where an editor asks what to write, and ways to ask and to read the answer."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.e2e.server import Server

BASE, INSTRUCT = "tiny-base", "tiny-instruct"

PREFIX = "def add(a, b):\n    "
SUFFIX = "\n    return value\n"
MIDDLE = "value = a + b"
MARKED = f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>"
"""The same place with the markers that a plugin puts in by itself."""

QUESTION = "Say hello with an emoji."
ANSWER = "Hello 👋🌍!\n"


def ask(
    server: Server, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """The response to a recorded body, which must be a success."""
    response = httpx.post(f"{server.url}{path}", json=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    return response


def events(response: httpx.Response) -> list[str]:
    """The data of each event, as a reader that cuts off exactly ``data: `` sees it."""
    assert response.headers["content-type"].startswith("text/event-stream")
    frames = response.text.removesuffix("\n\n").split("\n\n")
    told = [frame for frame in frames if not frame.startswith(":")]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in told)
    return [frame[6:] for frame in told]


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a stream that ends with ``[DONE]``."""
    *objects, done = events(response)
    assert done == "[DONE]"
    return [json.loads(text) for text in objects]
