"""Grammars in llguidance's dialect of Lark, and what of it is not for clients."""

import json
import re

from codeserve.engines.structured.json_schema import with_bounds

_SCAN = re.compile(
    r"""
      "(?:\\.|[^"\\\n])*"
    | (?://|\#)[^\n]*
    | /(?:\\.|[^/\\\n])+/
    | %(?P<block>json|regex|llguidance)\b\s*
    | (?P<stray>["/])
    | (?P<token><)
    | (?P<operator>[&~])
    | (?P<attribute>\b(?:temperature|max_tokens|stop|stop_capture)\s*=)
    """,
    re.VERBOSE,
)


def checked(source: str) -> str:
    """The grammar, with the bound on whitespace in each of its JSON schemas.

    Raises ValueError, with a message that follows a colon, for what a server cannot do (to name
    tokens, to set temperatures or limits, to take back tokens) and for intersections and
    complements of terminals, whose cost nothing bounds.
    """
    parts: list[str] = []
    position = 0
    while match := _SCAN.search(source, position):
        parts.append(source[position : match.end()])
        position = match.end()
        if match["block"]:
            block, position = _block(match["block"], source, position)
            parts.append(block)
        elif match.lastgroup:
            raise ValueError(_refusal(match, source))
    return "".join(parts) + source[position:]


def literal(text: str) -> str:
    """The string that matches ``text``."""
    return json.dumps(text, ensure_ascii=False)


def _block(kind: str, source: str, start: int) -> tuple[str, int]:
    try:
        value, end = json.JSONDecoder().raw_decode(source, start)
    except RecursionError:
        raise ValueError(f"the JSON of %{kind} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"%{kind} is not followed by JSON: {error}") from None
    if kind == "llguidance" and value != {}:
        raise ValueError("options in %llguidance are not supported")
    return (with_bounds(value) if kind == "json" else source[start:end]), end


def _refusal(match: re.Match[str], source: str) -> str:
    line = source.count("\n", 0, match.start()) + 1
    problem = {
        "stray": f"{match[0]} opens a string or a regular expression that its line does not close",
        "token": "tokens in angle brackets are not supported",
        "operator": f"the operator {match[0]} is not supported",
        "attribute": f"{match[0].rstrip(' =')} is not supported",
    }
    return f"line {line}: {problem[match.lastgroup or '']}"
