import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import Grammar, GrammarKind
from tests.engines.structured.outputs import Scribe

JSON_SCHEMA, REGEX, CHOICE, GBNF, LARK = GrammarKind

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "email": {"type": ["string", "null"], "maxLength": 10},
        "tags": {"type": "array", "items": {"enum": ["a", "b\"'\\"]}, "maxItems": 3},
        "address": {"$ref": "#/$defs/address"},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
    "$defs": {
        "address": {
            "type": "object",
            "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
            "required": ["zip"],
        }
    },
}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object"},
    PERSON,
    {"anyOf": [{"const": "é\n"}, {"type": "array", "items": {"type": "boolean"}, "minItems": 2}]},
    {"type": "array", "prefixItems": [{"type": "number", "multipleOf": 0.5}], "maxItems": 2},
    {
        "oneOf": [
            {"properties": {"kind": {"const": kind}, kind: {}}, "required": ["kind"]}
            | {"type": "object", "additionalProperties": False}
            for kind in ("cat", "dog")
        ]
    },
]


@pytest.fixture
def scribe(compiler: GrammarCompiler, tokenizer: Tokenizer) -> Scribe:
    return Scribe(compiler, tokenizer)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_random_output_is_json_that_its_schema_accepts(
    compiler: GrammarCompiler, scribe: Scribe, schema: dict[str, Any]
) -> None:
    grammar = Grammar(JSON_SCHEMA, json.dumps(schema))
    for seed in range(15):
        text = scribe.random_text(compiler.compile(grammar), seed)
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("indent", [None, 1, 2, 4, "\t"])
def test_json_may_be_laid_out_as_models_do(scribe: Scribe, indent: int | str | None) -> None:
    person = {"name": "Zoë 日本 🎉", "age": 3, "tags": ["a"], "address": {"zip": "12345"}}
    text = json.dumps(person, indent=indent, ensure_ascii=False)
    assert scribe.fits(JSON_SCHEMA, json.dumps(PERSON), text)


@pytest.mark.parametrize(
    "text", ['{  "a": 1}', '{\n\n"a": 1}', " {}", "{} ", "{" + "\n" + " " * 41]
)
def test_whitespace_does_not_run_on(compiler: GrammarCompiler, scribe: Scribe, text: str) -> None:
    assert not scribe.writes(compiler.compile(Grammar(JSON_SCHEMA, '{"type": "object"}')), text)


@pytest.mark.parametrize("text", ["[1]", '"x"', "null", '{"a": [true]}'])
def test_the_schema_true_is_any_json(scribe: Scribe, text: str) -> None:
    assert scribe.fits(JSON_SCHEMA, "true", text)


CHOICES = ["a", "ab", 'q"uo/te', "a\nb", "\\d+", "日本", ""]


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_can_be_written(scribe: Scribe, choice: str) -> None:
    assert scribe.fits(CHOICE, json.dumps(CHOICES), choice)


@pytest.mark.parametrize("text", ["b", "abc", "1", "q"])
def test_nothing_but_a_choice_can_be_written(scribe: Scribe, text: str) -> None:
    assert not scribe.fits(CHOICE, json.dumps(CHOICES), text)


@pytest.mark.parametrize(
    ("regex", "text", "fits"),
    [
        (r"\d{3}-[a-f]+/x", "123-abc/x", True),
        (r"^\d{3}$", "123", True),
        (r"\d{3}", "1234", False),
        ("[a-z]+abc", "xabcabc", True),
        ("(日本|é)+", "é日本é", True),
        ('"\\/\n', '"/\n', True),
        ("", "", True),
        (".", "\n", False),
    ],
)
def test_a_regex_matches_the_whole_output(
    scribe: Scribe, regex: str, text: str, fits: bool
) -> None:
    assert scribe.fits(REGEX, regex, text) == fits


def test_a_lark_grammar_may_contain_json(scribe: Scribe) -> None:
    source = 'start: "<" NAME ">" args # "\nNAME: /[a-z]+/\nargs: %json {"type": "array"}'
    assert scribe.fits(LARK, source, '<add>[1, {"a": 2}]')
    assert not scribe.fits(LARK, source, "<add>[1,  2]")


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        (JSON_SCHEMA, "{", "The JSON schema cannot be used: it is not JSON: "),
        (JSON_SCHEMA, "[1]", "a schema is a JSON object, true or false"),
        (JSON_SCHEMA, "false", "allows no value"),
        (JSON_SCHEMA, '{"type": "strin"}', "Invalid type: strin"),
        (JSON_SCHEMA, '{"x-guidance": {"lenient": true}}', "'x-guidance' is not supported"),
        (JSON_SCHEMA, '{"format": "color"}', "Unknown format: color"),
        (JSON_SCHEMA, '{"$ref": "#/nowhere"}', "does not exist"),
        (JSON_SCHEMA, '{"$ref": "https://example.com/a.json"}', "is not present"),
        (JSON_SCHEMA, '{"$ref": "#"}', "allows nothing"),
        (JSON_SCHEMA, '{"minimum": NaN}', "NaN is not JSON"),
        (JSON_SCHEMA, '{"minimum": 1e999}', "Out of range"),
        (JSON_SCHEMA, '{"const": "\\ud800"}', "cannot be used"),
        (JSON_SCHEMA, '{"enum": []}', "Unsatisfiable schema"),
        (JSON_SCHEMA, '{"pattern": "(?=a)"}', "look-around"),
        (REGEX, "(a", "The regular expression cannot be used: unclosed group"),
        (REGEX, r"(a)\1", "backreferences are not supported"),
        (REGEX, r"\ba", "lookarounds"),
        (CHOICE, "[]", "nothing to choose from"),
        (CHOICE, '["a", 1]', "not a JSON array of strings"),
        (CHOICE, "a", "not a JSON array of strings"),
        (CHOICE, '["\\ud800"]', "surrogate"),
        (GBNF, 'root ::= <think> "a"', "'<think> \"a\"' is not supported"),
        (LARK, "", "start"),
        (LARK, "start: a", 'unknown name: "a"'),
        (LARK, "start: <[32014]>", "line 1: tokens in angle brackets are not supported"),
        (LARK, "start: <|EOT|>", "tokens in angle brackets are not supported"),
        (LARK, "start: A\nA: /a/ & /b/", "line 2: the operator & is not supported"),
        (LARK, "start: a\na[max_tokens=3]: /a*/", "max_tokens is not supported"),
        (LARK, '%llguidance {"no_forcing": false}\nstart: "a"', "%llguidance are not supported"),
        (LARK, 'start: "a\n"', "does not close"),
        (LARK, 'start: %json {"uniqueItems": true}', 'Unimplemented keys: ["uniqueItems"]'),
        (LARK, "start: %json [", "%json is not followed by JSON"),
    ],
)
def test_what_is_wrong_with_a_grammar_is_said_in_one_line(
    compiler: GrammarCompiler, kind: GrammarKind, source: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        compiler.compile(Grammar(kind, source))
    assert message in refusal.value.message
    assert "\n" not in refusal.value.message
    assert refusal.value.code == "invalid_grammar"


@pytest.mark.parametrize(
    "keyword",
    [
        *("not", "if", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"),
        *("dependentRequired", "dependentSchemas", "dependencies", "uniqueItems", "minContains"),
        *("then", "else", "maxContains", "$dynamicRef", "$recursiveRef"),
    ],
)
def test_an_unsupported_keyword_is_never_ignored(compiler: GrammarCompiler, keyword: str) -> None:
    schema: dict[str, Any] = {"properties": {"a": {"items": {keyword: {}}}}}
    with pytest.raises(InvalidRequest, match="cannot be used"):
        compiler.compile(Grammar(JSON_SCHEMA, json.dumps(schema)))


def nested(depth: int) -> str:
    return '{"properties": {"a": ' * depth + "{}" + "}}" * depth


def chained(rule: str, count: int) -> str:
    return "\n".join(rule.format(here=number, there=number + 1) for number in range(count))


CHAIN_OF_REFERENCES = json.dumps(
    {
        "$ref": "#/$defs/a0",
        "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(9000)} | {"a9000": {}},
    }
)


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        (JSON_SCHEMA, CHAIN_OF_REFERENCES),
        (REGEX, "a?" * 30_000),
        (GBNF, chained('r{here} ::= r{there} "x"', 20_000) + '\nroot ::= r0\nr20000 ::= "y" | r0'),
        (LARK, chained('R{here}: R{there} "x"', 20_000) + '\nR20000: "y"\nstart: R0'),
        (JSON_SCHEMA, nested(100_000)),
        (JSON_SCHEMA, json.dumps({"enum": [f"{number:010}" for number in range(80_000)]})),
        (JSON_SCHEMA, json.dumps({"properties": {f"p{n}": {"pattern": "x"} for n in range(9999)}})),
        (JSON_SCHEMA, '{"type": "integer", "multipleOf": 123456789}'),
        (JSON_SCHEMA, '{"allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]}'),
        (JSON_SCHEMA, '{"pattern": "^.*a.{200}.*$", "minLength": 400, "maxLength": 500}'),
        (REGEX, "(" * 50_000 + "a" + ")" * 50_000),
        (REGEX, "(a|b|" * 2_000 + "c" + "){1,1000}" * 2_000),
        (GBNF, "root ::= " + "(" * 50_000 + '"a"' + ")" * 50_000),
        (GBNF, "\n".join(["root ::= a0", *(f"a{n} ::= a{n + 1} a{n + 1}" for n in range(40))])),
        (LARK, "start: " + "(" * 50_000 + '"a"' + ")" * 50_000),
        (LARK, "start: %json " + nested(100_000)),
    ],
    ids=lambda value: value[:20],
)
def test_a_grammar_that_costs_too_much_is_refused(
    compiler: GrammarCompiler, kind: GrammarKind, source: str
) -> None:
    with pytest.raises(InvalidRequest, match="cannot be used"):
        compiler.compile(Grammar(kind, source))


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        (REGEX, "(a{1000}){1000}"),
        (REGEX, "(a|b)*a(a|b){25}"),
        (JSON_SCHEMA, '{"type": "array", "minItems": 1000000}'),
        (LARK, 'start: ((x{1000}){1000}){1000}\nx: "a" | "b"'),
        (GBNF, 'root ::= root root | "a" | ""'),
    ],
)
def test_huge_repetitions_are_no_burden(
    compiler: GrammarCompiler, kind: GrammarKind, source: str
) -> None:
    matcher = compiler.compile(Grammar(kind, source))
    for _ in range(20):
        matcher.accept(int(matcher.mask()[:32000].argmax()))


def test_the_library_is_loaded_for_the_first_grammar() -> None:
    program = (
        "import sys; import codeserve.engines.structured.grammar_compiler as c; "
        "c.GrammarCompiler(None, 1, frozenset([0])); sys.exit('llguidance' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_many_threads_may_compile_and_match_at_once(
    compiler: GrammarCompiler, scribe: Scribe
) -> None:
    grammars = [Grammar(JSON_SCHEMA, json.dumps(schema)) for schema in SCHEMAS]

    def write(number: int) -> str:
        return scribe.random_text(compiler.compile(grammars[number % 5]), number)

    alone = [write(number) for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(write, range(20))) == alone
