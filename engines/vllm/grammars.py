"""Grammars on their way into vLLM's workers, and outputs on their way back."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from codeserve.engines.batching.constraint import no_token_left
from codeserve.engines.batching.constraints import no_form
from codeserve.engines.structured.grammar_compiler import REMEMBERED, GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineInfo, GenerationRequest, Grammar


class GrammarChecks:
    """Says in this process what is wrong with a request's rules, as workers cannot say it.

    A worker that cannot follow a request's rules any further ends it by a stop id; that the
    grammar allows none there gives it away.
    """

    def __init__(self, tokenizer: Tokenizer, info: EngineInfo, llm: Any | None) -> None:
        """``llm``: vLLM; None if its workers follow no rules of ours."""
        self._never_sampled = frozenset(tokenizer.never_sampled)
        self._vocab_size = info.vocab_size
        self._llm = llm
        stop_ids = info.variant.stop_ids
        self._compiler = GrammarCompiler(tokenizer, info.vocab_size, stop_ids) if stop_ids else None
        self._announced: OrderedDict[Grammar, asyncio.Task[Any]] = OrderedDict()

    def check_choice(self, request: GenerationRequest) -> None:
        """Raise InvalidRequest where not one token may be sampled."""
        allowed, never = request.sampling.allowed_ids, request.never_ids
        if request.stop_ids or not (allowed or never):
            return
        choice = set(allowed or range(self._vocab_size))
        if not choice - never - self._never_sampled:
            raise no_token_left()

    async def check(self, request: GenerationRequest) -> None:
        """Compile the grammar here, while the workers do. Raises InvalidRequest."""
        grammar = request.sampling.grammar
        if grammar is None:
            return
        if self._compiler is None:
            raise no_form()
        self._announce(grammar)
        await asyncio.to_thread(self._compiler.compile, grammar)

    async def check_end(self, request: GenerationRequest, sampled: Sequence[int]) -> None:
        """Raise InvalidRequest if the stop id at the end of ``sampled`` was forced."""
        grammar = request.sampling.grammar
        if grammar is not None and self._compiler is not None:
            await asyncio.to_thread(self._replay, self._compiler, grammar, sampled)

    def _replay(self, compiler: GrammarCompiler, grammar: Grammar, sampled: Sequence[int]) -> None:
        matcher = compiler.compile(grammar)
        *text, stop = sampled
        for token_id in text:
            matcher.accept(token_id)
        if not matcher.mask()[stop]:
            raise no_token_left()

    def _announce(self, grammar: Grammar) -> None:
        """Have the workers compile as well, as many as their compilers remember."""
        if self._llm is None or grammar in self._announced:
            return
        packed = msgspec.json.encode(grammar).decode()
        announcing = self._llm.collective_rpc("announce_grammar", args=(packed,))
        self._announced[grammar] = asyncio.create_task(_ignoring_its_end(announcing))
        if len(self._announced) > REMEMBERED:
            self._announced.popitem(last=False)


async def _ignoring_its_end(announcing: Any) -> None:
    """The request that follows meets the same end, and reports it."""
    try:
        await announcing
    except Exception:  # noqa: BLE001
        return
