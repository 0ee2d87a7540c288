"""Schemas of arguments as an engine can enforce them."""

from collections.abc import Mapping
from typing import Any

from codeserve.app.api.tools.tool import Tool
from codeserve.engines.subschemas import Schema, rewritten

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


def arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """What the arguments of ``tool`` must be: an object. Of a tool that is not strict, without
    what cannot be enforced."""
    schema = {"type": "object", **(tool.parameters or {"properties": {}})}
    return schema if tool.strict else rewritten(schema, _enforceable)


def _enforceable(schema: Schema) -> Schema:
    """``schema`` without what cannot be enforced, and with ``anyOf`` for ``oneOf``."""
    kept: Schema = {}
    for keyword, value in schema.items():
        if keyword in UNENFORCED or (keyword == "format" and value not in FORMATS):
            continue
        name = "anyOf" if keyword == "oneOf" and "anyOf" not in schema else keyword
        kept[name] = value
    return kept
