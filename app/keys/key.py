"""An API key: what its holder may ask for, and how much of it."""

import hashlib
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from codeserve.engines.types import Lane

SECRET_BYTES = 32
ID_BYTES = 4

Positive = Annotated[int, msgspec.Meta(ge=1)]
Aware = Annotated[datetime, msgspec.Meta(tz=True)]


class KeyScope(StrEnum):
    """A part of the server; a key opens each of them on its own."""

    INFERENCE = "inference"
    """Asking models, and seeing which there are."""
    ADMIN = "admin"
    """Launching and ending models, and whatever else changes the server."""
    METRICS = "metrics"
    """Reading the metrics."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key: everything but the key."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    """Public: logs and traces say it."""
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the key, in hexadecimal."""
    scopes: frozenset[KeyScope] = frozenset({KeyScope.INFERENCE})
    models: tuple[str, ...] = ("*",)
    """Patterns such as ``deepseek-*``; the ids of the models that may be asked match one."""
    lane: Lane = Lane.INTERACTIVE
    """The best one that its requests may have."""
    max_concurrency: Positive | None = None
    """Requests at a time, to one server; None: any number."""
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    """Tokens of prompts and of what is generated."""
    created: Aware | None = None
    expires: Aware | None = None
    """None: never."""

    def may_use(self, model_id: str) -> bool:
        """Whether the model of this id may be asked."""
        return any(fnmatchcase(model_id, pattern) for pattern in self.models)

    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


def new_id() -> str:
    """An id for a new key."""
    return f"key_{secrets.token_hex(ID_BYTES)}"


def new_token() -> str:
    """A new key: 256 random bits behind a prefix that scanners for secrets can look for."""
    return f"csk_{secrets.token_urlsafe(SECRET_BYTES)}"


def digest_of(token: str) -> str:
    """What is kept of a key. A fast hash will do: 256 random bits cannot be guessed, so that there
    is nothing that a slow one would slow down."""
    return hashlib.sha256(token.encode()).hexdigest()
