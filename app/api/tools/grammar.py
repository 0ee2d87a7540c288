"""The grammar of an answer that may, or must, call tools."""

import json
import re
from collections.abc import Sequence

from codeserve.app.api.tools.arguments import arguments_schema
from codeserve.app.api.tools.call_form import CLOSING, HEAD, MIDDLE, OPENING
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolChoice
from codeserve.engines.types import Grammar, GrammarKind

MAX_CALLS = 16
"""Calls at once; a small model that has begun to repeat itself would not end by itself."""

GAP = r"[ \t\r\n]*"
ANYTHING = "(?s:.*)"


def call_grammar(tools: Sequence[Tool], choice: ToolChoice) -> Grammar:
    """Calls of ``tools``, and where ``choice`` leaves it to the model, any text instead that does
    not begin like calls."""
    calls = f'call ("," call){{0,{MAX_CALLS - 1}}}' if choice.parallel else "call"
    if choice.mode is ChoiceMode.REQUIRED:
        rules = ["start: calls", f"opening: {json.dumps(''.join(OPENING))}"]
    else:
        opening = GAP + GAP.join(map(re.escape, OPENING))
        text = _unlike(OPENING[:2])
        rules = ["start: calls | text", f"opening: /{opening}/", f"text: /{text}/"]
    rules += [
        f"calls: opening {calls} {json.dumps(CLOSING)}",
        "call: " + " | ".join(f"call_{index}" for index in range(len(tools))),
    ]
    for index, tool in enumerate(tools):
        head = f'{"".join(HEAD)}{tool.name}"{"".join(MIDDLE)}'
        rules += [
            f'call_{index}: {json.dumps(head)} arguments_{index} "}}"',
            f"arguments_{index}: %json {json.dumps(arguments_schema(tool))}",
        ]
    return Grammar(GrammarKind.LARK, "\n".join(rules) + "\n")


def _unlike(marks: Sequence[str]) -> str:
    """A regular expression of all texts that do not begin with ``marks``, white space between
    them or not."""
    rest = ""
    for mark in reversed(marks):
        for at, character in reversed([*enumerate(mark)]):
            expected, gap = re.escape(character), GAP if at == 0 else ""
            other = f"[^{expected}{gap[1:-2]}]{ANYTHING}"
            rest = f"{gap}(?:{other}|{expected}{rest})?" if rest else f"(?:{other})?"
    return rest
