"""How each API dialect writes its errors, chosen by path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel
from starlette.types import Scope

from codeserve.engines.errors import ServingError


class ErrorShape(Protocol):
    """The errors of one dialect, as responses and within streams."""

    @property
    def reply(self) -> type[BaseModel]:
        """What ``body`` writes, for the OpenAPI document."""

    def status(self, error: ServingError) -> int:
        """The HTTP status of ``error``."""

    def body(self, error: ServingError, request_id: str) -> bytes:
        """``error`` as one line of JSON: a response's body, or what a stream's last frame says."""

    def stream(self, error: ServingError, request_id: str) -> bytes:
        """All that an event stream has to say that breaks off before its first event."""


@dataclass(frozen=True, slots=True)
class ErrorShapes:
    """The shape of each path's errors."""

    default: ErrorShape
    under: Mapping[str, ErrorShape] = field(default_factory=dict)
    """Path to the shape of that path and of all below it."""

    def of(self, path: str) -> ErrorShape:
        """The shape of the errors of ``path``."""
        for prefix, shape in self.under.items():
            if is_under(path, prefix):
                return shape
        return self.default


def is_under(path: str, prefix: str) -> bool:
    """``path`` is ``prefix`` or below it."""
    return path == prefix or path.startswith(f"{prefix}/")


def shape_of(scope: Scope) -> ErrorShape:
    """The shape of the errors of the request of ``scope``."""
    shape: ErrorShape = scope["state"]["error_shape"]
    return shape
