"""HEAD and OPTIONS on every route, and which methods a path has."""

from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What routes are made for; HEAD and OPTIONS are answered here."""


class AnswerOptions:
    """Answers OPTIONS on every path that has a route; preflights are the CORS middleware's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked = scope["type"] == "http" and scope["method"] == "OPTIONS"
        allowed = allow_header(scope) if asked else ""
        answer = Response(status_code=204, headers={"allow": allowed}) if allowed else self._app
        await answer(scope, receive, send)


class HeadAsGet:
    """Answers HEAD on every GET route: the same headers, no body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


def allow_header(scope: Scope) -> str:
    """The methods of all routes that have the path of ``scope``; empty where there is none.

    The framework's own answer names the methods of the first such route only.
    """
    found = [method for method in METHODS if _has_route(scope, method)]
    if not found:
        return ""
    head = ["HEAD"] if "GET" in found else []
    return ", ".join([*found, *head, "OPTIONS"])


def _has_route(scope: Scope, method: str) -> bool:
    asked = {**scope, "method": method}
    return any(route.matches(asked)[0] is Match.FULL for route in scope["app"].routes)
