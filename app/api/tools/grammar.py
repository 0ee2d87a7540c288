"""The grammar of an answer that may, or must, call tools."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from codeserve.app.api.tools.call_form import CLOSING, HEAD, MIDDLE, OPENING
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolChoice
from codeserve.engines.errors import InvalidRequest
from codeserve.engines.types import Grammar, GrammarKind

MAX_CALLS = 16
"""Calls at once; a small model that has begun to repeat itself would not end by itself."""

GAP = r"[ \t\r\n]{0,8}"
BEGINNING = GAP + r"\{" + GAP + '"tool_calls"'
TEXT = rf"/(?s:.*)/ & ~/{BEGINNING}(?s:.*)/"
"""Every text that does not begin like a call."""


def tool_grammar(
    tools: Sequence[Tool], choice: ToolChoice, text_form: Grammar | None = None
) -> Grammar:
    """Calls of ``tools``, and where ``choice`` leaves it to the model, text instead.

    ``text_form``: the form that the request prescribes for text. Raises InvalidRequest for one
    that cannot stand beside tools.
    """
    calls = 'call ("," call)' + f"{{0,{MAX_CALLS - 1}}}" if choice.parallel else "call"
    if choice.mode is ChoiceMode.REQUIRED:
        rules = ["start: calls", f"opening: {_literal(''.join(OPENING))}"]
    else:
        rules = ["start: calls | text", *_text(text_form), rf"opening: /{BEGINNING}{GAP}:{GAP}\[/"]
    rules += [
        f"calls: opening {calls} {_literal(CLOSING)}",
        "call: " + " | ".join(f"call_{index}" for index in range(len(tools))),
    ]
    for index, tool in enumerate(tools):
        head = _literal(f'{"".join(HEAD)}{tool.name}"{"".join(MIDDLE)}')
        rules += [
            f'call_{index}: {head} arguments_{index} "}}"',
            f"arguments_{index}: %json {json.dumps(_arguments(tool))}",
        ]
    return Grammar(GrammarKind.LARK, "\n".join(rules) + "\n")


def _literal(text: str) -> str:
    return json.dumps(text)


def _text(form: Grammar | None) -> list[str]:
    if form is None:
        return ["text: TEXT", f"TEXT: {TEXT}"]
    if form.kind is not GrammarKind.JSON_SCHEMA:
        raise InvalidRequest(
            f"Tools and a {form.kind} grammar cannot go together, unless 'tool_choice' is 'none' "
            "or forces a call; a JSON schema can.",
            param="tools",
            code="invalid_value",
        )
    schema = json.loads(form.source)
    if not isinstance(schema, dict):
        schema = {} if schema else {"not": {}}
    return [f"text: %json {json.dumps(_compact(schema, lenient=False))}"]


def _arguments(tool: Tool) -> Mapping[str, Any]:
    """The schema of a tool's arguments: an object, of nothing but the properties that it lists
    unless it says otherwise."""
    schema = {"type": "object", **(tool.parameters or {"properties": {}})}
    if "properties" in schema and not _OPENERS & schema.keys():
        schema["additionalProperties"] = False
    return _compact(schema, lenient=not tool.strict)


_OPENERS = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "patternProperties",
    "unevaluatedProperties",
}
"""Keywords by which an object may have more properties than it lists."""


def _compact(schema: Mapping[str, Any], *, lenient: bool) -> Mapping[str, Any]:
    """``schema`` with llguidance's settings: JSON without white space; ``lenient`` ignores
    keywords and formats that it cannot enforce."""
    return {**schema, "x-guidance": {"whitespace_flexible": False, "lenient": lenient}}
