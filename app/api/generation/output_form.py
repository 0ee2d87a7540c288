"""The form that a request prescribes for its output."""

import json
from collections.abc import Mapping
from typing import Any

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar, GrammarKind

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def json_object() -> Grammar:
    """Any JSON object."""
    return json_schema(ANY_OBJECT)


def json_schema(schema: Mapping[str, Any] | bool) -> Grammar:
    """JSON that ``schema`` accepts. Raises InvalidRequest for one that is nested too deeply."""
    try:
        return Grammar(GrammarKind.JSON_SCHEMA, json.dumps(schema))
    except RecursionError as error:
        raise InvalidRequest(
            "The JSON schema is nested too deeply.", code="invalid_grammar"
        ) from error


def regex(pattern: str) -> Grammar:
    """Text that ``pattern`` matches as a whole."""
    return Grammar(GrammarKind.REGEX, pattern)


def choice(options: list[str]) -> Grammar:
    """One of ``options``."""
    return Grammar(GrammarKind.CHOICE, json.dumps(options))


def gbnf(source: str) -> Grammar:
    """A ``root`` of llama.cpp's grammar ``source``."""
    return Grammar(GrammarKind.GBNF, source)


def grammar(source: str) -> Grammar:
    """``source`` in either language: rules of GBNF are written with ``::=``, and no rule of Lark
    has that outside a literal, so a source with ``::=`` is GBNF."""
    return gbnf(source) if "::=" in source else Grammar(GrammarKind.LARK, source)
