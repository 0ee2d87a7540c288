import pytest

from codeserve.engines.structured.gbnf import to_lark
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import GrammarKind
from tests.engines.structured.outputs import Scribe

JSON = r"""
# Any JSON object.
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*   # further members
  )? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,3})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""


@pytest.fixture
def scribe(compiler: GrammarCompiler, tokenizer: Tokenizer) -> Scribe:
    return Scribe(compiler, tokenizer)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"a": [1, -2.5e3, {"é\\u00e9\\n": "日本"}],\n  "b": true}', True),
        ("{}", True),
        ("{ }\n", True),
        ("[1]", False),
        ('{"a" 1}', False),
        ('{"a": 01}', False),
        ('{"a": "\n"}', False),
    ],
)
def test_a_recursive_grammar(scribe: Scribe, text: str, fits: bool) -> None:
    assert scribe.fits(GrammarKind.GBNF, JSON, text) == fits


@pytest.mark.parametrize(
    ("source", "text", "fits"),
    [
        ('root ::= [a-z]+ "abc"', "xabcabc", True),
        ('root ::= [a-z]+ "abc"', "abc", False),
        ('root ::= .* "x"', "a\nbx", True),
        ("root ::= [a&&b~-]+", "a&b~-", True),
        (r"root ::= [\]\[\\^]+", r"[\^]", True),
        (r'root ::= "\u00e9\x41\U0001F600"', "éA😀", True),
        (r"root ::= [^\u00e0-\u00ff]", "é", False),
        ('root ::= ("a"{2,3}){2}', "aaaaa", True),
        ('root ::= "a"{ 2, }', "aaaa", True),
        ('root ::= "a"{2}', "aaa", False),
        ("root ::= [a]+?", "", True),
        ('root ::= "\\"" ([^"] | "\\"\\"")* "\\""', '"a""b"', True),
        ('root ::= "a" | Foo_bar-2\nFoo_bar-2 ::= "b" foo-bar?\nfoo-bar ::= root', "bba", True),
        ('root ::= root "a" | "b"', "baa", True),
        ('root ::= "" | "x/\n"', "x/\n", True),
        ("root ::= ", "", True),
    ],
)
def test_the_notation_means_what_it_means_to_llama_cpp(
    scribe: Scribe, source: str, text: str, fits: bool
) -> None:
    assert scribe.fits(GrammarKind.GBNF, source, text) == fits


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('a ::= "x"', "no rule is named root"),
        ("root ::= a", "the rule a is not defined"),
        ('root ::= "a"\nroot ::= "b"', "line 2: the rule root is defined twice"),
        ('"a"', "line 1: a rule starts with its name and ::="),
        ("root ::=\n  <[1000]>", "line 2: '<\\[1000\\]>' is not supported"),
        ('root ::= !"a"', "line 1: '!\"a\"' is not supported"),
        ('root ::= "a', "line 1: '\"a' is not supported"),
        (r'root ::= "\q"', r"the escape \\q is not supported"),
        (r'root ::= "\x4"', r"the escape \\x is not supported"),
        (r'root ::= "\ud800"', r"\\ud800 is not a character"),
        ('root ::= ("a"', "a parenthesis has no partner"),
        ("root ::= * ", "\\* repeats nothing"),
        ("root ::= [z-a]", "the range z-a is empty"),
        ("root ::= []", "\\[\\] matches no character"),
    ],
)
def test_what_is_wrong_is_named(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_lark(source)
