"""What a grammar lets a model write, byte by byte."""

from codeserve.engines.fake import BOS, CONTROL_TOKENS, EOS, FakeVocabulary
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.structured.grammar_matcher import GrammarMatcher
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import Grammar
from codeserve.model_specs.spec import Variant

VARIANT = Variant(
    family="fake",
    name="fake",
    context_length=64,
    bos="<bos>",
    eos="<eos>",
    control_tokens=CONTROL_TOKENS,
    stop_tokens=("<eos>",),
)
COMPILER = GrammarCompiler(
    Tokenizer(FakeVocabulary(), VARIANT), FakeVocabulary.size, VARIANT.stop_ids
)


def begins(grammar: Grammar, text: str) -> GrammarMatcher | None:
    """The matcher behind ``text``; None if it may not be written."""
    matcher = COMPILER.compile(grammar)
    for byte in text.encode():
        if not matcher.mask()[byte]:
            return None
        matcher.accept(byte)
    assert not matcher.mask()[BOS]
    return matcher


def fits(grammar: Grammar, text: str) -> bool:
    """Whether ``text`` is a whole output."""
    matcher = begins(grammar, text)
    return matcher is not None and bool(matcher.mask()[EOS])
