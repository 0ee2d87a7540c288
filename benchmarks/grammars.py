"""Compares libraries for structured output: llguidance and xgrammar, over DeepSeek Coder's tokens.

    pip install llguidance xgrammar gguf        (xgrammar brings torch, triton and transformers)
    python benchmarks/grammars.py VOCABULARY.gguf

``make test`` puts ``ggml-vocab-deepseek-coder.gguf`` into ``.venv/share/codeserve-vocabularies``.
Each library walks the same valid outputs; rounds alternate between the libraries.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Protocol

from gguf import GGUFReader

ROUNDS = 7
STOPS = [32014, 32021]
ADDED = 32000

INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string", "pattern": "^INV-[0-9]{4}$"},
        "customer": {"$ref": "#/$defs/party"},
        "lines": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "amount": {"type": "number"},
                    "unit": {"enum": ["piece", "hour", "kilogram"]},
                },
                "required": ["text", "amount"],
                "additionalProperties": False,
            },
        },
        "paid": {"type": ["boolean", "null"]},
    },
    "required": ["number", "customer", "lines"],
    "additionalProperties": False,
    "$defs": {
        "party": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "email": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}
OUTPUT = {
    "number": "INV-0042",
    "customer": {"name": "Zoë Müller", "email": "zoe@example.com"},
    "lines": [
        {"text": "Writing a parser, and its tests", "amount": 12.5, "unit": "hour"},
        {"text": "日本語の説明", "amount": 3},
    ],
    "paid": None,
}
REGEX = r"[a-z_][a-z0-9_]{0,30}(\([a-z, ]*\))? -> (int|str|None)"
CHOICES = ["positive", "negative", "neutral", "not sure"]
JSON_GRAMMAR = r"""
root   ::= value
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ws
ws     ::= "" | " " | "\n" [ \t]{0,20}
"""
CASES: dict[str, tuple[str, str, str]] = {
    "any JSON object": (
        "json_schema",
        '{"type": "object"}',
        json.dumps(OUTPUT, indent=2, ensure_ascii=False),
    ),
    "invoice schema": ("json_schema", json.dumps(INVOICE), json.dumps(OUTPUT, ensure_ascii=False)),
    "regex": ("regex", REGEX, "parse_line(self, text) -> str"),
    "choice": ("choice", json.dumps(CHOICES), "not sure"),
    "GBNF of JSON": ("gbnf", JSON_GRAMMAR, json.dumps(OUTPUT, ensure_ascii=False)),
}
UNUSUAL: dict[str, tuple[str, str, str]] = {
    keyword: ("json_schema", json.dumps(schema), wrong)
    for keyword, (schema, wrong) in {
        "multipleOf": ({"type": "integer", "multipleOf": 5}, "3"),
        "uniqueItems": ({"type": "array", "uniqueItems": True}, "[1, 1]"),
        "not": ({"not": {"type": "string"}}, '"a"'),
        "if/then": ({"if": {"type": "string"}, "then": {"minLength": 1}}, '""'),
        "contains": ({"type": "array", "contains": {"type": "integer"}}, '["a"]'),
        "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 1}}, '{"ab": 1}'),
        "dependentRequired": ({"type": "object", "dependentRequired": {"a": ["b"]}}, '{"a": 1}'),
        "overlapping oneOf": ({"oneOf": [{"type": "string"}, {"const": "a"}]}, '"a"'),
        "intersecting allOf": ({"allOf": [{"type": "integer"}, {"maximum": 5}]}, "7"),
        "unknown format": ({"type": "string", "format": "color"}, '"a"'),
        "remote $ref": ({"$ref": "https://example.com/a.json"}, '"a"'),
    }.items()
} | {
    "look-ahead in a regex": ("regex", "(?=b)[a-z]+", "a"),
    "back-reference in a regex": ("regex", r"(a|b)\1", "ab"),
    r"\p{L} in a regex": ("regex", r"\p{L}+", "1"),
    "empty alternative in GBNF": ("gbnf", 'root ::= | "a"', "b"),
}
"""Rarer features, each with an output that breaks the rule."""


class Matcher(Protocol):
    def mask(self) -> None: ...
    def accept(self, token_id: int) -> bool: ...


class Library(Protocol):
    name: str

    def compile(self, kind: str, source: str) -> Matcher:
        """Raises any exception for what it refuses."""


class Llguidance:
    name = "llguidance"

    def __init__(self, pieces: list[bytes], encode: Callable[[bytes], list[int]]) -> None:
        import llguidance

        self._library = llguidance

        class Tokens:
            eos_token_id, bos_token_id = STOPS[0], None
            special_token_ids, tokens = STOPS, pieces

            def __call__(self, text: bytes) -> list[int]:
                return encode(text)

        wrapper = llguidance.TokenizerWrapper(Tokens())
        self._tokens = llguidance.LLTokenizer(wrapper, eos_token=STOPS)

    def compile(self, kind: str, source: str) -> Matcher:
        from codeserve.engines.structured.grammar_source import to_lark
        from codeserve.engines.types import Grammar, GrammarKind

        text = to_lark(Grammar(GrammarKind(kind), source))
        matcher = self._library.LLMatcher(self._tokens, text, log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return LlguidanceMatcher(matcher)


class LlguidanceMatcher:
    def __init__(self, matcher: Any) -> None:
        self.mask = matcher.compute_bitmask
        self.accept = matcher.consume_token


class Xgrammar:
    name = "xgrammar"

    def __init__(self, pieces: list[bytes], encode: Callable[[bytes], list[int]]) -> None:
        import xgrammar

        self._library = xgrammar
        self._info = xgrammar.TokenizerInfo(
            pieces, xgrammar.VocabType.RAW, vocab_size=len(pieces), stop_token_ids=STOPS
        )
        self._compiler = xgrammar.GrammarCompiler(self._info, max_threads=1, cache_enabled=False)

    def compile(self, kind: str, source: str) -> Matcher:
        compiler = self._compiler
        match kind:
            case "json_schema":
                compiled = compiler.compile_json_schema(source, strict_mode=False)
            case "regex":
                compiled = compiler.compile_regex(source)
            case "choice":
                choices = " | ".join(json.dumps(choice) for choice in json.loads(source))
                compiled = compiler.compile_grammar(f"root ::= {choices}")
            case _:
                compiled = compiler.compile_grammar(source)
        return XgrammarMatcher(self._library, compiled, self._info.vocab_size)


class XgrammarMatcher:
    def __init__(self, library: Any, compiled: Any, vocab_size: int) -> None:
        matcher = library.GrammarMatcher(compiled)
        bitmask = library.allocate_token_bitmask(1, vocab_size)
        self.mask = lambda: matcher.fill_next_token_bitmask(bitmask)
        self.accept = matcher.accept_token


MAKERS = (Llguidance, Xgrammar)


def pieces_of(path: Path) -> list[bytes]:
    """The bytes of each token; none for added ones."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    letters = {chr(b): b for b in kept} | {chr(256 + n): b for n, b in enumerate(others)}
    tokens = GGUFReader(path).fields["tokenizer.ggml.tokens"].contents()
    return [
        bytes(letters[letter] for letter in token) if token_id < ADDED else b""
        for token_id, token in enumerate(tokens)
    ]


def longest_match(pieces: list[bytes]) -> Callable[[bytes], list[int]]:
    """Valid tokens for a text, if not always those of the model."""
    ids = {piece: token_id for token_id, piece in enumerate(pieces) if piece}
    longest = max(map(len, ids))

    def encode(text: bytes) -> list[int]:
        found = []
        while text:
            size = next(n for n in range(longest, 0, -1) if text[:n] in ids)
            found.append(ids[text[:size]])
            text = text[size:]
        return found

    return encode


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def walk(matcher: Matcher, token_ids: list[int]) -> Iterator[float]:
    for token_id in token_ids:
        yield timed(matcher.mask)[0]
        if not matcher.accept(token_id):
            raise ValueError("a valid output was refused")


def measure(libraries: list[Library], case: str, encode: Callable[[bytes], list[int]]) -> None:
    kind, source, output = CASES[case]
    compiles: dict[str, list[float]] = {library.name: [] for library in libraries}
    masks: dict[str, list[float]] = {library.name: [] for library in libraries}
    for _ in range(ROUNDS):
        for library in libraries:
            seconds, matcher = timed(lambda library=library: library.compile(kind, source))
            compiles[library.name].append(seconds)
            masks[library.name] += walk(matcher, encode(output.encode()))
    for name, taken in masks.items():
        slow = quantiles(taken, n=100, method="inclusive")[-1]
        print(
            f"{case:18} {name:11} compile {median(compiles[name]) * 1e3:8.2f} ms   mask µs: "
            f"median {median(taken) * 1e6:6.1f}  p99 {slow * 1e6:7.1f}  "
            f"max {max(taken) * 1e6:7.1f}"
        )


def verdict(library: Library, kind: str, source: str, token_ids: list[int]) -> str:
    try:
        matcher = library.compile(kind, source)
    except (ValueError, RuntimeError):
        return "refuses"
    ignored = all(matcher.accept(token_id) for token_id in [*token_ids, STOPS[0]])
    return "IGNORES" if ignored else "honours"


def main() -> None:
    pieces = pieces_of(Path(sys.argv[1]))
    encode = longest_match(pieces)
    imports = {make.name: timed(lambda make=make: import_module(make.name))[0] for make in MAKERS}
    starts: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        libraries: list[Library] = []
        for make in MAKERS:
            seconds, library = timed(lambda make=make: make(pieces, encode))
            starts.setdefault(make.name, []).append(seconds)
            libraries.append(library)
    for name, taken in starts.items():
        print(
            f"{name} {version(name)}: import {imports[name]:.2f} s, tokenizer {median(taken):.3f} s"
        )
    for case in CASES:
        measure(libraries, case, encode)
    for name, (kind, source, wrong) in UNUSUAL.items():
        token_ids = encode(wrong.encode())
        verdicts = [f"{one.name} {verdict(one, kind, source, token_ids)}" for one in libraries]
        print(f"{name:26} {', '.join(verdicts)}")


if __name__ == "__main__":
    main()
