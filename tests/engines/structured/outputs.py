"""Outputs written under a grammar's mask."""

import random

import numpy as np

from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.structured.grammar_matcher import GrammarMatcher
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import Grammar, GrammarKind
from codeserve.model_specs.segments import Text

STOPS = (32014, 32021)
CLOSERS = '"]}'


class Scribe:
    """Writes under the grammars of one compiler."""

    def __init__(self, compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
        self._compiler = compiler
        self._tokenizer = tokenizer
        self._closers = [tokenizer.encode([Text(mark)])[0] for mark in CLOSERS]

    def fits(self, kind: GrammarKind, source: str, text: str) -> bool:
        """Whether ``text`` is a whole output, token by token as the model's tokenizer cuts it."""
        matcher = self._compiler.compile(Grammar(kind, source))
        return self.writes(matcher, text) and bool(matcher.mask()[list(STOPS)].all())

    def writes(self, matcher: GrammarMatcher, text: str) -> bool:
        """Whether ``text`` is the start of an output; leaves the matcher behind it."""
        for token_id in self._tokenizer.encode([Text(text)]):
            if not matcher.mask()[token_id]:
                return False
            matcher.accept(token_id)
        return True

    def random_text(self, matcher: GrammarMatcher, seed: int) -> str:
        """A whole random output, with a liking for ends."""
        choose = random.Random(seed)
        ids: list[int] = []
        while True:
            allowed = np.flatnonzero(matcher.mask()).tolist()
            ends = [i for i in (*STOPS, *self._closers) if matcher.mask()[i]]
            token_id = choose.choice(ends if ends and choose.random() < 0.3 else allowed)
            matcher.accept(token_id)
            if token_id in STOPS:
                return self._tokenizer.decode(ids)
            ids.append(token_id)
