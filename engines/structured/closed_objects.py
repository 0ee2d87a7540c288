"""Objects of a JSON schema, closed to properties that the schema does not name."""

from collections.abc import Iterator
from typing import Any

NAMES_TO_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose values map names, not keywords, to schemas."""

DATA = ("const", "default", "enum", "examples", "required")
"""Keywords whose values hold no schemas."""

SPEAKS_OF_OTHERS = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "minProperties",
    "oneOf",
    "patternProperties",
    "unevaluatedProperties",
}
"""By these an object may have, or need, properties that ``properties`` does not list."""


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with ``additionalProperties: false`` in each object that lists its properties and
    does not speak of others.

    What fits it fits ``schema``. A model that may invent properties goes on inventing them, which
    is seldom meant by a schema that only does not forbid it. A schema that joins others by
    ``allOf`` stays as it is, since each part must leave room for the properties of the rest.
    """
    return schema if any("allOf" in node for node in _schemas(schema)) else _closed(schema)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    result = {keyword: _within(keyword, value) for keyword, value in schema.items()}
    listed, needed = schema.get("properties"), schema.get("required", [])
    if (
        isinstance(listed, dict)
        and isinstance(needed, list)
        and all(name in listed for name in needed)
        and not SPEAKS_OF_OTHERS & schema.keys()
    ):
        result["additionalProperties"] = False
    return result


def _within(keyword: str, value: Any) -> Any:
    if keyword in DATA:
        return value
    if keyword in NAMES_TO_SCHEMAS and isinstance(value, dict):
        return {name: _of(inner) for name, inner in value.items()}
    return _of(value)


def _of(value: Any) -> Any:
    if isinstance(value, dict):
        return _closed(value)
    return [_of(item) for item in value] if isinstance(value, list) else value


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _schemas(inner)
