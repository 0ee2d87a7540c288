"""Grammars, made into matchers for one model's tokens."""

from collections import OrderedDict
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.structured.grammar_matcher import GrammarMatcher
from codeserve.engines.structured.grammar_source import to_lark
from codeserve.engines.structured.limits import parser_limits
from codeserve.engines.structured.trial import try_out
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import Grammar, GrammarKind
from codeserve.model_specs.segments import Text

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

REMEMBERED = 16
"""Compiled grammars kept for the next request."""

_NAMES = {
    GrammarKind.JSON_SCHEMA: "JSON schema",
    GrammarKind.REGEX: "regular expression",
    GrammarKind.CHOICE: "choice",
    GrammarKind.GBNF: "grammar",
    GrammarKind.LARK: "grammar",
}


class GrammarCompiler:
    """Compiles with llguidance, which is loaded for the first grammar; from any thread."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, stop_ids: frozenset[int]) -> None:
        """``vocab_size``: padding rows included. ``stop_ids``: the model's own, at least one."""
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._stop_ids = stop_ids
        self._lock = Lock()
        self._tokens: LLTokenizer | None = None
        self._compiled: OrderedDict[Grammar, LLMatcher] = OrderedDict()

    def compile(self, grammar: Grammar) -> GrammarMatcher:
        """A matcher at the start of ``grammar``; takes milliseconds, or seconds for a huge one.

        Raises InvalidRequest (``invalid_grammar``) for whatever would not be followed to the
        letter: malformed, unsupported, too large, or without any output that fits.
        """
        with self._lock:
            compiled = self._compiled.get(grammar)
            if compiled is not None:
                self._compiled.move_to_end(grammar)
        if compiled is None:
            compiled = self._build(grammar)
            self._remember(grammar, compiled)
        matcher = GrammarMatcher(
            compiled.deep_copy(),
            self._stop_ids,
            self._vocab_size,
            partial(self._rebuild, grammar),
        )
        matcher.compute()
        return matcher

    def _build(self, grammar: Grammar) -> "LLMatcher":
        from llguidance import LLMatcher

        try:
            source = to_lark(grammar)
            try_out(source)
        except ValueError as error:
            raise _invalid(grammar, str(error)) from None
        compiled = LLMatcher(self._library_tokens(), source, log_level=0, limits=parser_limits())
        if compiled.is_error():
            raise _invalid(grammar, _reason(compiled.get_error()))
        if warnings := compiled.get_grammar_warnings():
            raise _invalid(grammar, _reason(warnings[0]))
        return compiled

    def _remember(self, grammar: Grammar, compiled: "LLMatcher") -> None:
        with self._lock:
            self._compiled[grammar] = compiled
            if len(self._compiled) > REMEMBERED:
                self._compiled.popitem(last=False)

    def _rebuild(self, grammar: Grammar) -> "LLMatcher":
        """One that shares no limits with the remembered one, which is worn out and forgotten."""
        with self._lock:
            self._compiled.pop(grammar, None)
        return self._build(grammar)

    def _library_tokens(self) -> "LLTokenizer":
        from llguidance import LLTokenizer, TokenizerWrapper

        with self._lock:
            if self._tokens is None:
                pieces = _Pieces(self._tokenizer, self._vocab_size, self._stop_ids)
                self._tokens = LLTokenizer(
                    TokenizerWrapper(pieces), eos_token=sorted(self._stop_ids)
                )
            return self._tokens


class _Pieces:
    """The bytes of every token, as llguidance asks for them; control tokens have none."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, stop_ids: frozenset[int]) -> None:
        self.eos_token_id = min(stop_ids)
        self.special_token_ids = sorted(stop_ids)
        self.tokens = [
            b"" if token_id in stop_ids else tokenizer.piece(token_id)
            for token_id in range(vocab_size)
        ]
        self._tokenizer = tokenizer

    def __call__(self, text: str | bytes) -> list[int]:
        plain = text.decode() if isinstance(text, bytes) else text
        return self._tokenizer.encode((Text(plain),))


def _reason(error: str) -> str:
    """The one line of llguidance's message that says what is wrong."""
    lines = [line for line in error.splitlines() if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = (said or lines or ["unknown"])[0].rpartition("failed to compile JSON schema: ")[2]
    return reason.partition(". Enable ")[0][:300]


def _invalid(grammar: Grammar, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"The {_NAMES[grammar.kind]} cannot be used: {reason}", code="invalid_grammar"
    )
