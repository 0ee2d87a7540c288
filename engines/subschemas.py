"""The schemas within a JSON schema."""

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

NAMES_TO_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose values map names, not keywords, to schemas."""

DATA = ("const", "default", "enum", "examples", "required")
"""Keywords whose values hold no schemas."""


def rewritten(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """``schema`` and all within it, each as ``change`` makes it, from the inside out."""
    return change({keyword: _within(keyword, value, change) for keyword, value in schema.items()})


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within ``value``, schemas among them."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects_in(inner)


def _within(keyword: str, value: Any, change: Callable[[Schema], Schema]) -> Any:
    if keyword in DATA:
        return value
    if keyword in NAMES_TO_SCHEMAS and isinstance(value, dict):
        return {name: _rewritten(inner, change) for name, inner in value.items()}
    return _rewritten(value, change)


def _rewritten(value: Any, change: Callable[[Schema], Schema]) -> Any:
    if isinstance(value, dict):
        return rewritten(value, change)
    return [_rewritten(item, change) for item in value] if isinstance(value, list) else value
