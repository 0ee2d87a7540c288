"""The form that a request prescribes for its output."""

import json
from collections.abc import Mapping
from typing import Any

from codeserve.engines.types import Grammar, GrammarKind

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def json_object() -> Grammar:
    """Any JSON object."""
    return json_schema(ANY_OBJECT)


def json_schema(schema: Mapping[str, Any] | bool) -> Grammar:
    """JSON that ``schema`` accepts."""
    return Grammar(GrammarKind.JSON_SCHEMA, json.dumps(schema))


def choice(options: list[str]) -> Grammar:
    """One of ``options``."""
    return Grammar(GrammarKind.CHOICE, json.dumps(options))
