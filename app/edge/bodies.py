"""Request bodies: how large they may be, and what passes for JSON."""

import json
import re
from collections.abc import Collection
from typing import Any, NoReturn

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.errors import error_response
from codeserve.app.edge.refusals import UnsupportedMediaType
from codeserve.app.edge.shapes import is_under
from codeserve.app.edge.validation import malformed_json, unreadable_json
from codeserve.engines.errors import QueueFull, RequestTooLarge

RETRY_AFTER_SECONDS = 1.0

DEEPEST = 128
"""Arrays and objects within each other."""

SUSPECT = re.compile(rb"NaN|Infinity|\x00|\xed[\xa0-\xbf]|\\u[dD][89a-fA-F]")
"""Bytes without which a body has no constant of JavaScript's, is in no other encoding than UTF-8,
and has no half of a surrogate pair."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class BodyLimit:
    """Refuses bodies of more than ``max_bytes``, by their announced and by their real size."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await error_response(self._refusal(), scope)(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._refusal()
            return message

        await self._app(scope, receive_limited, send)

    def _refusal(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"The request body is larger than {self._max_bytes} bytes, this server's limit "
            "(max_body_bytes)."
        )


class BodyBudget:
    """Bounds the bytes of all request bodies that the server holds at once.

    A body counts as it arrives, whatever was announced, and until its request has ended: until then
    it is in memory.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = 0

        async def receive_counted() -> Message:
            nonlocal own
            message = await receive()
            arrived = len(message.get("body", b""))
            if self._held + arrived > self._max_bytes:
                raise self._refusal()
            own += arrived
            self._held += arrived
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._held -= own

    def _refusal(self) -> QueueFull:
        return QueueFull(
            f"The bodies of the requests that this server is busy with reach {self._max_bytes} "
            "bytes, its limit (max_buffered_bytes). Try again later.",
            code="server_busy",
            retry_after=RETRY_AFTER_SECONDS,
        )


class JsonBodies:
    """Gives routes bodies of JSON only: UTF-8, without NaN, lone surrogates or bottomless nesting.

    Where no content type is named JSON is meant; another one is refused, except for the paths
    ``any_type_under`` and all below them.
    """

    def __init__(self, app: ASGIApp, any_type_under: Collection[str] = ()) -> None:
        self._app = app
        self._any_type_under = any_type_under

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. A refusal is raised when the route reads the body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        scope = _as_json(scope)
        read = False

        async def receive_json() -> Message:
            nonlocal read
            if read:
                return await receive()
            message = await _whole_body(receive)
            read = True
            if not message.get("body"):
                return message
            if refusal is not None:
                raise refusal
            refuse_unsound_json(message["body"])
            return message

        await self._app(scope, receive_json, send)

    def _refusal(self, path: str, headers: Headers) -> UnsupportedMediaType | None:
        encoding = headers.get("content-encoding", "identity")
        if encoding != "identity":
            return UnsupportedMediaType(
                f"The request body is compressed ({encoding}), but this server takes plain JSON."
            )
        kind = headers.get("content-type", "")
        tolerant = any(is_under(path, prefix) for prefix in self._any_type_under)
        if tolerant or _is_json(kind):
            return None
        return UnsupportedMediaType(
            f"The request body is announced as '{kind}', but this server takes JSON. Send the "
            "header Content-Type: application/json (curl: -H 'Content-Type: application/json')."
        )


def refuse_unsound_json(body: bytes) -> None:
    """Raise InvalidRequest for JSON that a route would misread; what is no JSON at all may be left
    to the route's parser."""
    brackets = body.count(b"[") + body.count(b"{")
    if brackets <= DEEPEST and not SUSPECT.search(body):
        return
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable_json(error) from error
    if _is_deeper(value, DEEPEST):
        raise malformed_json(f"it is nested more than {DEEPEST} levels deep")
    if lone := LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise malformed_json(f"\\u{ord(lone[0]):x} is half a surrogate pair, which is no text")


def _as_json(scope: Scope) -> Scope:
    """``scope`` with the content type for which the framework parses the body."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    headers["content-type"] = "application/json"
    return {**scope, "headers": headers.raw}


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "" or kind.endswith(("/json", "+json"))


async def _whole_body(receive: Receive) -> Message:
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return {"type": "http.request", "body": b"".join(chunks), "more_body": False}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_deeper(value: Any, levels: int) -> bool:
    """Arrays and objects lie more than ``levels`` deep within each other."""
    layer = [value]
    for _ in range(levels):
        layer = [
            child
            for parent in layer
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not layer:
            return False
    return True
