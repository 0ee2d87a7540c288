"""llama.cpp's grammars, translated to Lark."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from codeserve.engines.structured.lark import literal

_TOKEN = re.compile(
    r"""
      (?P<blank>[\ \t\r\n]+|\#[^\r\n]*)
    | (?P<rule>[A-Za-z0-9_-]+)[\ \t]*::=
    | (?P<name>[A-Za-z0-9_-]+)
    | "(?P<literal>(?:\\.|[^"\\])*)"
    | \[(?P<range>\^?(?:\\.|[^\]\\])*)\]
    | (?P<any>\.)
    | (?P<repeat>[*+?]|\{[ ]*[0-9]+[ ]*(?:,[ ]*[0-9]*[ ]*)?\})
    | (?P<mark>[()|])
    """,
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|[^\\]"
_CHARACTERS = re.compile(_CHARACTER, re.DOTALL)
_SPANS = re.compile(f"({_CHARACTER})(?:-({_CHARACTER}))?", re.DOTALL)
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t"} | {f"\\{mark}": mark for mark in '\\"[]'}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


_Rules = Mapping[str, list[_Token]]


def to_lark(source: str) -> str:
    """The same grammar in Lark.

    Rules without recursion become terminals, so a grammar without any is matched as one regular
    expression, exactly. In the others a terminal takes all the characters that it can: one that
    would have to leave some to its successor is never followed by it.

    Raises ValueError, with a message that follows a colon.
    """
    rules = _rules(source)
    if "root" not in rules:
        raise ValueError("no rule is named root")
    terminals = _terminals(rules)
    names = {
        name: f"T{index}" if name in terminals else f"r{index}" for index, name in enumerate(rules)
    }
    lines = [f"{names[name]}: {_body(tokens, names)}" for name, tokens in rules.items()]
    return "\n".join([f"start: {names['root']}", *lines])


def _rules(source: str) -> _Rules:
    rules: dict[str, list[_Token]] = {}
    body: list[_Token] | None = None
    for line, token in _tokens(source):
        if token.kind == "rule":
            if token.text in rules:
                raise ValueError(f"line {line}: the rule {token.text} is defined twice")
            body = rules[token.text] = []
        elif body is None:
            raise ValueError(f"line {line}: a rule starts with its name and ::=")
        else:
            body.append(token)
    for name in (token.text for body in rules.values() for token in body if token.kind == "name"):
        if name not in rules:
            raise ValueError(f"the rule {name} is not defined")
    return rules


def _tokens(source: str) -> Iterator[tuple[int, _Token]]:
    position, line = 0, 1
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise ValueError(f"line {line}: {source[position : position + 20]!r} is not supported")
        if match.lastgroup and match.lastgroup != "blank":
            yield line, _Token(match.lastgroup, match[match.lastgroup])
        position = match.end()
        line += match[0].count("\n")


def _terminals(rules: _Rules) -> set[str]:
    """The rules from which no recursion is reached."""
    needed = {
        name: {token.text for token in body if token.kind == "name"} for name, body in rules.items()
    }
    users: dict[str, list[str]] = {name: [] for name in rules}
    for user, names in needed.items():
        for name in names:
            users[name].append(user)
    ready = [name for name, names in needed.items() if not names]
    terminals: set[str] = set()
    while ready:
        terminals.add(name := ready.pop())
        for user in users[name]:
            needed[user].remove(name)
            if not needed[user]:
                ready.append(user)
    return terminals


def _body(tokens: list[_Token], names: Mapping[str, str]) -> str:
    parts: list[str] = []
    for token in tokens:
        if token.kind != "repeat":
            parts.append(_element(token, names))
        elif not parts or parts[-1] in ("(", "|"):
            raise ValueError(f"{token.text} repeats nothing")
        else:
            parts[-1] = _repeated(parts[-1], re.sub(r"\s", "", token.text))
    marks = [token.text for token in tokens if token.kind == "mark"]
    if marks.count("(") != marks.count(")"):
        raise ValueError("a parenthesis has no partner")
    return " ".join(parts) or '""'


def _element(token: _Token, names: Mapping[str, str]) -> str:
    match token.kind:
        case "name":
            return names[token.text]
        case "literal":
            return literal("".join(map(_character, _CHARACTERS.findall(token.text))))
        case "range":
            return f"/{_range(token.text)}/"
        case "any":
            return "/[\\x{0}-\\x{10ffff}]/"
        case _:
            return token.text


def _repeated(part: str, times: str) -> str:
    """Repetition within one regular expression is much faster than by rules."""
    if part.endswith("]/"):
        return f"{part[:-1]}{times}/"
    return f"{part}{times}" if part == ")" else f"({part}{times})"


def _range(text: str) -> str:
    """A class of a regular expression, each of its characters as a number."""
    negation, text = ("^", text[1:]) if text.startswith("^") else ("", text)
    if not text:
        raise ValueError("[] matches no character")
    spans = [(_character(first), _character(last or first)) for first, last in _SPANS.findall(text)]
    for first, last in spans:
        if first > last:
            raise ValueError(f"the range {first}-{last} is empty")
    numbers = "".join(rf"\x{{{ord(first):x}}}-\x{{{ord(last):x}}}" for first, last in spans)
    return f"[{negation}{numbers}]"


def _character(text: str) -> str:
    if not text.startswith("\\"):
        return text
    if text[1] in "xuU" and len(text) > 2:
        number = int(text[2:], 16)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise ValueError(f"{text} is not a character")
        return chr(number)
    if text not in _ESCAPES:
        raise ValueError(f"the escape {text} is not supported")
    return _ESCAPES[text]
