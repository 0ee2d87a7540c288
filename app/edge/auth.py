"""Who asks, and what they may ask for."""

from collections.abc import Callable, Collection
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from codeserve.app.edge.errors import error_response
from codeserve.app.edge.record import record_of
from codeserve.app.edge.refusals import AuthenticationFailed, PermissionDenied
from codeserve.app.keys.key import ApiKey, KeyScope
from codeserve.app.keys.keyring import Keyring

KEY_HEADERS = ("api-key", "x-api-key")
"""Where clients put a key, besides ``Authorization: Bearer``: Azure's and Anthropic's name."""

HOW = "Send it as 'Authorization: Bearer KEY', 'api-key: KEY' or 'x-api-key: KEY'."


class Authentication:
    """Lets nobody pass without a valid key, before anything of a body is read."""

    def __init__(
        self,
        app: ASGIApp,
        keyring: Callable[[], Keyring] | None,
        open_paths: Collection[str],
        optional_paths: Collection[str] = (),
    ) -> None:
        """``keyring``: the keys that are valid now; None: no key is asked for.
        ``open_paths``: paths that need none, whatever is sent; ``optional_paths``: those that need
        none, but where one that is sent must be valid."""
        self._app = app
        self._keyring = keyring
        self._open_paths = frozenset(open_paths)
        self._optional_paths = frozenset(optional_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = None
        if self._keyring is not None and not self._is_open(scope):
            try:
                key = _valid_key(self._keyring(), Headers(scope=scope))
            except AuthenticationFailed as error:
                response = error_response(error, scope)
                response.headers["www-authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
            record_of(scope).key = key.id
        scope["state"]["key"] = key
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        if scope["path"] in self._optional_paths:
            return not any(name in Headers(scope=scope) for name in ("authorization", *KEY_HEADERS))
        return scope["path"] in self._open_paths


class Needs:
    """A dependency of all routes of a router: the key must open one of these parts."""

    def __init__(self, *parts: KeyScope) -> None:
        self._parts = parts

    async def __call__(self, request: Request) -> None:
        """Let the request pass. Raises PermissionDenied."""
        key = key_of(request.scope)
        if key is not None and key.scopes.isdisjoint(self._parts):
            raise PermissionDenied(
                f"This needs an API key with the scope {' or '.join(self._parts)}; yours, "
                f"{key.name!r}, has {' and '.join(sorted(key.scopes)) or 'none'}."
            )


def key_of(scope: Scope) -> ApiKey | None:
    """The key that the request of ``scope`` came with; None: this needs no key."""
    key: ApiKey | None = scope["state"]["key"]
    return key


async def current_key(request: Request) -> ApiKey | None:
    """The key that ``request`` came with."""
    return key_of(request.scope)


CurrentKey = Annotated[ApiKey | None, Depends(current_key)]
"""A parameter of routes that must know whose models they deal with."""


def may_use(key: ApiKey | None, model_id: str) -> bool:
    """Whether a request that came with ``key`` may use the model."""
    return key is None or key.may_use(model_id)


def require_model(key: ApiKey | None, model_id: str) -> None:
    """Raise PermissionDenied unless ``key`` may use the model, be that there or not."""
    if key is not None and not key.may_use(model_id):
        raise PermissionDenied(
            f"The API key {key.name!r} may not use the model {model_id!r}, only "
            f"{', '.join(key.models) or 'none'}.",
        )


def _valid_key(keyring: Keyring, headers: Headers) -> ApiKey:
    token = _token(headers)
    key = keyring.find(token)
    if key is None:
        raise AuthenticationFailed("The API key is not one of this server's.")
    if key.is_expired():
        raise AuthenticationFailed(f"The API key {key.name!r} expired on {key.expires:%Y-%m-%d}.")
    return key


def _token(headers: Headers) -> str:
    """What the client sent as its key. Raises AuthenticationFailed."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed(f"The scheme of Authorization must be Bearer. {HOW}")
        return token.strip()
    for name in KEY_HEADERS:
        if given := headers.get(name):
            return given.strip()
    raise AuthenticationFailed(f"This server asks for an API key. {HOW}")
