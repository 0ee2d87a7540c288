"""A grammar of any kind as one Lark source."""

import json

from codeserve.engines.structured import gbnf, json_schema, lark
from codeserve.engines.types import Grammar, GrammarKind

MAX_LENGTH = 512 * 1024
"""Bytes of a grammar's source."""
_OPTIONS = '\n%llguidance {"no_forcing": true}'
"""Tokens are chosen among all that fit, not only along llguidance's own tokenisation."""


def to_lark(grammar: Grammar) -> str:
    """The Lark source of which llguidance makes the grammar.

    Raises ValueError, with a message that follows a colon.
    """
    length = _bytes(grammar.source)
    if length > MAX_LENGTH:
        raise ValueError(f"it has {length} bytes; at most {MAX_LENGTH} are supported")
    source = _translated(grammar)
    _bytes(source)
    return source + _OPTIONS


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("it contains half of a surrogate pair, which is not a character") from None


def _translated(grammar: Grammar) -> str:
    match grammar.kind:
        case GrammarKind.JSON_SCHEMA:
            return f"start: %json {json_schema.bounded(grammar.source)}"
        case GrammarKind.REGEX:
            return f"start: {_regex(grammar.source)}"
        case GrammarKind.CHOICE:
            return f"start: CHOICE\nCHOICE: {_alternatives(grammar.source)}"
        case GrammarKind.GBNF:
            return gbnf.to_lark(grammar.source)
        case GrammarKind.LARK:
            return lark.checked(grammar.source)


def _regex(source: str) -> str:
    from llguidance import regex_to_lark

    return f"/{regex_to_lark(source, '')}/" if source else '""'


def _alternatives(source: str) -> str:
    try:
        choices = json.loads(source)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"it is not a JSON array of strings: {error}") from None
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise ValueError("it is not a JSON array of strings")
    if not choices:
        raise ValueError("there is nothing to choose from")
    return " | ".join(map(lark.literal, choices))
