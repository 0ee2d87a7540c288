"""Makes the constraints of requests, off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from codeserve.engines.batching.constraint import Constraint, Matcher, is_needed
from codeserve.engines.errors import UnsupportedFeature
from codeserve.engines.types import GenerationRequest, Grammar


class Compiler(Protocol):
    """Makes matchers of grammars."""

    def compile(self, grammar: Grammar) -> Matcher:
        """A fresh matcher. Raises InvalidRequest."""


class Constraints:
    """Compiles grammars, and computes masks on a thread of its own."""

    def __init__(self, compiler: Compiler | None = None) -> None:
        """``compiler``: None refuses grammars, for a model that cannot end a text."""
        self._compiler = compiler
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="masks")

    async def make(self, request: GenerationRequest) -> Constraint | None:
        """The constraint of ``request``; None where every token may be sampled.

        Raises InvalidRequest for a grammar that cannot be used.
        """
        if not is_needed(request):
            return None
        return Constraint(request, await self._matcher(request), self._executor)

    async def _matcher(self, request: GenerationRequest) -> Matcher | None:
        grammar = request.sampling.grammar
        if grammar is None:
            return None
        if self._compiler is None:
            raise no_form()
        return await asyncio.to_thread(self._compiler.compile, grammar)

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=False)


def no_form() -> UnsupportedFeature:
    """What a request with a grammar is told by a model that cannot end a text."""
    return UnsupportedFeature(
        "The form of this model's output cannot be prescribed: it has no token that ends a text."
    )
