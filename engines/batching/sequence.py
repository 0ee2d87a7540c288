"""One generation at work in a step engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from codeserve.engines.types import FinishReason, GenerationRequest


@dataclass(eq=False, slots=True)
class Sequence:
    """A request, the tokens generated so far, and how many of all tokens are computed."""

    request: GenerationRequest
    slot: int | None = None
    """Its place in the KV cache; None while it waits."""
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    cached: int = 0
    """Prompt tokens that were found in the cache instead of being computed."""
    token_ids: list[int] = field(init=False)
    """Prompt and generated tokens."""

    def __post_init__(self) -> None:
        self.token_ids = list(self.request.prompt_ids)

    @property
    def generated(self) -> int:
        """Number of tokens generated."""
        return len(self.token_ids) - len(self.request.prompt_ids)

    @property
    def remaining(self) -> int:
        """The most tokens that may still be generated."""
        return self.request.max_tokens - self.generated

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be sampled; at least 1 until finished."""
        return len(self.token_ids) - self.computed

    @property
    def is_decoding(self) -> bool:
        """Whether its prompt is computed, so that each step yields a token."""
        return self.generated > 0

    @property
    def computed_ids(self) -> list[int]:
        """The tokens whose keys and values are in the cache."""
        return self.token_ids[: self.computed]

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why it has ended; None while it goes on."""
        if not self.is_decoding:
            return None
        if self.token_ids[-1] in self.request.stop_ids:
            return FinishReason.STOP
        if self.generated >= self.request.max_tokens:
            return FinishReason.LENGTH
        return None

    def extend(self, token_ids: Iterable[int]) -> tuple[int, ...]:
        """Take sampled tokens up to the one that ends the sequence; those taken."""
        before = len(self.token_ids)
        for token_id in token_ids:
            self.token_ids.append(token_id)
            if self.finish_reason is not None:
                break
        return tuple(self.token_ids[before:])
