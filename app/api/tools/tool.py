"""What can be called, what must be, and what was."""

import re
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from codeserve.engines.errors import InvalidRequest

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the client's."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = {}
    """The JSON schema of its arguments, which are an object; empty: it takes none."""
    strict: bool = False
    """A schema with a keyword or format that cannot be enforced is refused, not enforced in
    part."""

    def __post_init__(self) -> None:
        """Raises InvalidRequest for a name or a schema that no function has."""
        if not NAME.fullmatch(self.name):
            raise InvalidRequest(
                f"Invalid name of a tool: {self.name!r}. It must be 1 to 128 letters, digits, "
                "'_', '-' or '.'.",
                param="tools",
                code="invalid_value",
            )
        kind = self.parameters.get("type", "object")
        if kind != "object":
            raise InvalidRequest(
                f"Invalid schema for tool '{self.name}': its parameters must be of type 'object', "
                f"but are of type {kind!r}.",
                param="tools",
                code="invalid_function_parameters",
            )


class ChoiceMode(StrEnum):
    """Whether tools are called."""

    NONE = "none"
    """They are not even shown."""
    AUTO = "auto"
    """The model decides."""
    REQUIRED = "required"
    """At least one is."""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which tools are called, and how many at once."""

    mode: ChoiceMode = ChoiceMode.AUTO
    names: frozenset[str] | None = None
    """Only these may be called, though all are shown; None: all."""
    parallel: bool = True
    """Several calls may come at once."""

    @classmethod
    def named(cls, name: str) -> "ToolChoice":
        """One call of that tool, and nothing else."""
        return cls(mode=ChoiceMode.REQUIRED, names=frozenset({name}), parallel=False)


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a model wants called."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it, cut off where the generation was."""


def new_call_id() -> str:
    """An id that no other call has."""
    return f"call_{uuid.uuid4().hex[:24]}"
