"""The form that a request prescribes for its output."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from codeserve.engines.errors import ClientError, InvalidRequest, UnsupportedFeature
from codeserve.engines.types import Grammar, GrammarKind

REFUSALS = ("invalid_grammar", UnsupportedFeature.code)
"""Codes with which an engine refuses a form."""

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


@contextmanager
def prescribed_by(param: str | None) -> Iterator[None]:
    """Names the field ``param`` in an engine's refusal of the form, which cannot know."""
    try:
        yield
    except ClientError as error:
        if error.param is None and error.code in REFUSALS:
            error.param = param
        raise
