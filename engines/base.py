"""The contract of every engine."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineInfo, EngineLoad, GenerationRequest, TokenDelta

Progress = Callable[[str, float], None]
"""Called with a phase (such as ``"weights"``) and a fraction from 0 to 1; from any thread."""


class Engine(Protocol):
    """Continues prompts of token ids, many at a time.

    Nothing blocks the event loop. Every started generation ends with exactly one delta that has a
    finish reason, or with one exception.
    """

    @property
    def info(self) -> EngineInfo:
        """What was loaded; valid after ``start``."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back for the loaded weights; valid after ``start``."""

    @property
    def load(self) -> EngineLoad:
        """How busy the engine is; cheap, from any thread."""

    @property
    def healthy(self) -> bool:
        """Whether the engine can serve. False before ``start``, and for good once it broke."""

    async def start(self, progress: Progress) -> None:
        """Load the weights. Raises ModelLoadError."""

    async def stop(self) -> None:
        """Abort what runs and free everything."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TokenDelta, None]:
        """Queue ``request`` and return its deltas, to be read as they come.

        Closing the generator at any time frees its slot within one engine step. Raises QueueFull
        or InvalidRequest here, EngineFailure and ModelUnavailable here or from the generator.
        """
