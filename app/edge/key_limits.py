"""How much the holder of a key may ask for."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeserve.app.edge.auth import key_of
from codeserve.app.edge.errors import error_response
from codeserve.app.edge.record import record_of
from codeserve.app.edge.refusals import KeyLimitReached, KeyTokensUsedUp
from codeserve.app.edge.token_budget import TokenBudget
from codeserve.app.keys.key import ApiKey
from codeserve.app.keys.window import Standing, Window

if TYPE_CHECKING:
    from codeserve.app.keys.allowances import Allowances

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that use nothing up."""

PLACE_SECONDS = 1.0
"""When to ask again for a place that a running request has; nobody knows when it ends."""

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{what}-{of}"
    for of in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
"""OpenAI's names."""


class KeyLimits:
    """Refuses what is more than a key may ask for, before anything of a body is read, and gives
    requests the budget of their tokens. Belongs within the authentication."""

    def __init__(self, app: ASGIApp, allowances: "Allowances") -> None:
        self._app = app
        self._allowances = allowances

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        key = key_of(scope) if scope["type"] == "http" else None
        if key is None or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        with self._allowances.place(key) as placed:
            if not placed:
                await error_response(_no_place(key), scope)(scope, receive, send)
                return
            await self._serve(key, scope, receive, send)

    async def _serve(self, key: ApiKey, scope: Scope, receive: Receive, send: Send) -> None:
        standing = await self._allowances.take(key)
        budget = None
        if key.tokens_per_minute is not None:
            budget = TokenBudget(self._allowances, key, key.tokens_per_minute)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                tokens = (budget and budget.window) or standing.tokens
                MutableHeaders(scope=message).update(_headers(replace(standing, tokens=tokens)))
            await send(message)

        if not standing.taken:
            await error_response(_used_up(key, standing), scope)(scope, receive, send_with_limits)
            return
        scope["state"]["token_budget"] = budget
        try:
            await self._app(scope, receive, send_with_limits)
        finally:
            if budget is not None:
                record = record_of(scope)
                await budget.settle((record.prompt_tokens or 0) + (record.completion_tokens or 0))


def _no_place(key: ApiKey) -> KeyLimitReached:
    return KeyLimitReached(
        f"The API key {key.name!r} may have {key.max_concurrency} requests running at a time, and "
        "has.",
        retry_after=PLACE_SECONDS,
    )


def _used_up(key: ApiKey, standing: Standing) -> KeyLimitReached:
    if standing.requests is not None:
        return KeyLimitReached(
            f"The API key {key.name!r} may send {key.requests_per_minute} requests per minute, and "
            "has.",
            retry_after=standing.requests.reset,
        )
    return KeyTokensUsedUp(
        f"The API key {key.name!r} may use {key.tokens_per_minute} tokens per minute, and has.",
        retry_after=standing.tokens.reset if standing.tokens else None,
    )


def _headers(standing: Standing) -> dict[str, str]:
    windows = {"requests": standing.requests, "tokens": standing.tokens}
    return {
        f"x-ratelimit-{what}-{of}": value
        for of, window in windows.items()
        if window is not None
        for what, value in _values(window)
    }


def _values(window: Window) -> tuple[tuple[str, str], ...]:
    return (
        ("limit", str(window.limit)),
        ("remaining", str(window.remaining)),
        ("reset", _duration(window.reset)),
    )


def _duration(seconds: float) -> str:
    """As OpenAI writes it: ``450ms``, ``59s``, ``1m30s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
