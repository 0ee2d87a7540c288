"""Schemas of arguments as an engine can enforce them."""

from collections.abc import Mapping
from typing import Any

from codeserve.app.api.tools.tool import Tool

UNENFORCED = {
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
}
"""Keywords that llguidance refuses."""

FORMATS = {
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "time",
    "uri",
    "uuid",
}
"""Formats of strings that llguidance knows."""

NAMES_TO_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose values map names, not keywords, to schemas."""

DATA = ("const", "default", "enum", "examples", "required")
"""Keywords whose values hold no schemas."""


def arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """What the arguments of ``tool`` must be: an object. Of a tool that is not strict, without
    what cannot be enforced."""
    schema = {"type": "object", **(tool.parameters or {"properties": {}})}
    return schema if tool.strict else _enforceable(schema)


def _enforceable(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` without what cannot be enforced, and with ``anyOf`` for ``oneOf``."""
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in UNENFORCED or (keyword == "format" and value not in FORMATS):
            continue
        name = "anyOf" if keyword == "oneOf" and "anyOf" not in schema else keyword
        if keyword in NAMES_TO_SCHEMAS and isinstance(value, dict):
            kept[name] = {key: _within(inner) for key, inner in value.items()}
        else:
            kept[name] = value if keyword in DATA else _within(value)
    return kept


def _within(value: Any) -> Any:
    if isinstance(value, dict):
        return _enforceable(value)
    return [_within(item) for item in value] if isinstance(value, list) else value
