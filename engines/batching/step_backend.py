"""What an engine without a scheduler of its own fulfils instead of ``Engine``."""

from collections.abc import Sequence
from typing import Protocol

from codeserve.engines.base import Progress
from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.drafting import Drafter
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.prefix_cache import KvCache
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineInfo, GenerationRequest


class Chunk(Protocol):
    """Consecutive tokens of one sequence that one step computes."""

    @property
    def slot(self) -> int:
        """The sequence's place in the KV cache, from 0."""

    @property
    def start(self) -> int:
        """Position of the first token in its sequence."""

    @property
    def token_ids(self) -> Sequence[int]:
        """The tokens to compute."""

    @property
    def samples(self) -> bool:
        """Whether a token is sampled after the last of ``token_ids``."""

    @property
    def drafts(self) -> int:
        """How many of the last tokens are guesses: a token is sampled before each of them, too,
        and the guess is right if it is the same."""

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's tokens that come after each of ``token_ids`` are scored."""


def rows_of(chunk: Chunk) -> int:
    """After how many of its last tokens a chunk wants logits."""
    if chunk.scores_prompt:
        return len(chunk.token_ids)
    return chunk.drafts + 1 if chunk.samples else 0


def following(chunk: Chunk, request: GenerationRequest) -> Sequence[int]:
    """The tokens of ``request``'s prompt that come after each of those of ``chunk``."""
    start = chunk.start + 1
    return request.prompt_ids[start : start + len(chunk.token_ids)]


class StepBackend(KvCache, Protocol):
    """A model that computes one batch at a time; the engine loop gives it a scheduler.

    All methods run on the engine's one thread, except ``tokenizer``, which any thread may use.
    """

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back; valid after ``load``."""

    @property
    def batching(self) -> BatchingSettings:
        """Limits and costs; valid after ``load``."""

    @property
    def drafter(self) -> Drafter | None:
        """What guesses tokens to verify; None: nothing. Valid after ``load``."""

    def load(self, progress: Progress) -> EngineInfo:
        """Load the weights. Raises ModelLoadError, having freed everything."""

    def open(self, slot: int, request: GenerationRequest, constraint: Constraint | None) -> None:
        """Prepare to sample ``request`` in ``slot``, some of whose prompt may be computed.

        Only tokens that ``constraint`` leaves are sampled, and each is accepted by it.
        """

    def step(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """Compute ``chunks`` in one batch; what each of them yields, in order.

        Wrong guesses stay in the slot until it is trimmed.
        """

    def close(self, slot: int) -> None:
        """End the sampling in ``slot``; its cells stay."""

    def unload(self) -> None:
        """Free the weights and the KV cache."""
