import numpy as np
import pytest

from codeserve.engines.errors import EngineFailure, InvalidRequest
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.structured.grammar_matcher import GrammarMatcher
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import Grammar, GrammarKind
from codeserve.model_specs.segments import Text
from codeserve.model_specs.spec import Variant
from tests.engines.structured.outputs import STOPS, Scribe

A = 64
COMPLEX = r"[\w\p{L}]{1,500}(\p{L}|\d){1,500}(.{0,300}a){0,30}"


@pytest.fixture
def scribe(compiler: GrammarCompiler, tokenizer: Tokenizer) -> Scribe:
    return Scribe(compiler, tokenizer)


def regex(compiler: GrammarCompiler, source: str) -> GrammarMatcher:
    return compiler.compile(Grammar(GrammarKind.REGEX, source))


def allowed(matcher: GrammarMatcher) -> set[int]:
    return set(np.flatnonzero(matcher.mask()).tolist())


def exhaust(matcher: GrammarMatcher) -> None:
    """Visit ever new states of the grammar."""
    for step in range(2000):
        matcher.accept(int(np.flatnonzero(matcher.mask()[:32000])[-1 - step % 900]))


def test_an_output_that_may_end_allows_every_stop_id(compiler: GrammarCompiler) -> None:
    matcher = regex(compiler, "a?")
    assert set(STOPS) < allowed(matcher)
    assert not matcher.is_finished


def test_an_output_that_must_end_allows_stop_ids_only(
    compiler: GrammarCompiler, scribe: Scribe
) -> None:
    matcher = regex(compiler, "a?")
    assert scribe.writes(matcher, "a")
    assert allowed(matcher) == set(STOPS)
    assert matcher.is_finished


def test_an_unfinished_output_allows_no_stop_id(compiler: GrammarCompiler) -> None:
    assert not set(STOPS) & allowed(regex(compiler, "a+"))


@pytest.mark.parametrize("stop", STOPS)
def test_behind_a_stop_id_come_stop_ids_only(compiler: GrammarCompiler, stop: int) -> None:
    matcher = regex(compiler, "a*")
    matcher.accept(stop)
    assert allowed(matcher) == set(STOPS)
    assert matcher.is_finished


def test_control_tokens_and_padding_rows_are_never_allowed(
    compiler: GrammarCompiler, variant: Variant
) -> None:
    anything = allowed(regex(compiler, "(?s:.)*"))
    first, last = variant.padding_rows or (0, 0)
    assert anything.isdisjoint({*variant.control_tokens.values()} - {*STOPS})
    assert anything.isdisjoint(range(first, last + 1))
    assert len(anything) > 31_000


def test_the_spelling_of_a_control_token_is_written_with_ordinary_tokens(
    compiler: GrammarCompiler, tokenizer: Tokenizer, scribe: Scribe
) -> None:
    matcher = compiler.compile(Grammar(GrammarKind.CHOICE, '["<|EOT|>"]'))
    assert not set(STOPS) & allowed(matcher)
    assert scribe.random_text(matcher, 0) == "<|EOT|>"


def test_a_character_may_be_split_over_tokens(
    compiler: GrammarCompiler, tokenizer: Tokenizer, scribe: Scribe
) -> None:
    text = "🦜"
    ids = tokenizer.encode([Text(text)])
    assert len(ids) > 1
    matcher = compiler.compile(Grammar(GrammarKind.CHOICE, f'["{text}"]'))
    assert scribe.writes(matcher, text)
    assert matcher.is_finished


def test_constraining_leaves_what_is_allowed_as_it_was(compiler: GrammarCompiler) -> None:
    matcher = regex(compiler, "[a-c]+")
    logits = np.arange(32256, dtype=np.float32)
    matcher.constrain(logits)
    kept = np.flatnonzero(np.isfinite(logits))
    assert set(kept.tolist()) == allowed(matcher)
    assert (logits[kept] == kept).all()


def test_a_forbidden_token_is_the_engines_failure(compiler: GrammarCompiler) -> None:
    with pytest.raises(EngineFailure, match="against the request's grammar"):
        regex(compiler, "[0-9]").accept(A)


def test_a_grammar_that_exceeds_its_limits_on_the_way_ends_with_an_error(
    compiler: GrammarCompiler,
) -> None:
    matcher = regex(compiler, COMPLEX)
    with pytest.raises(InvalidRequest, match="too complex to go on") as refusal:
        exhaust(matcher)
    assert refusal.value.code == "invalid_grammar"


def test_limits_used_up_by_one_request_are_not_missed_by_the_next(
    compiler: GrammarCompiler,
) -> None:
    bystander = regex(compiler, COMPLEX)
    matcher = regex(compiler, COMPLEX)
    with pytest.raises(InvalidRequest):
        exhaust(matcher)
    for another in (bystander, regex(compiler, COMPLEX)):
        another.accept(A)
        another.compute()
