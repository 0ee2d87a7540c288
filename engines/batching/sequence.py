"""One generation at work in a step engine."""

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
    token_ids: list[int] = field(init=False)
    """Prompt and generated tokens."""

    def __post_init__(self) -> None:
        self.token_ids = list(self.request.prompt_ids)

    @property
    def generated(self) -> int:
        """Number of tokens generated."""
        return len(self.token_ids) - len(self.request.prompt_ids)

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be sampled; at least 1 until finished."""
        return len(self.token_ids) - self.computed

    @property
    def is_decoding(self) -> bool:
        """Whether its prompt is computed, so that each step yields a token."""
        return self.generated > 0

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
