"""One generation at work in a step engine."""

import hashlib
import time
from dataclasses import dataclass, field
from functools import cached_property

from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.types import FinishReason, GenerationRequest, TokenDelta, TokenScore


@dataclass(eq=False)
class Sequence:
    """A request, the tokens generated so far, and how many of all tokens are computed."""

    request: GenerationRequest
    constraint: Constraint | None = None
    """What rules tokens out; None: nothing does."""
    slot: int | None = None
    """Its place in the KV cache; None while it waits."""
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    cached: int = 0
    """Prompt tokens that were found in the cache instead of being computed."""
    token_ids: list[int] = field(init=False)
    """Prompt and generated tokens."""
    prompt_scores: list[TokenScore] = field(default_factory=list)
    """Of the prompt's tokens computed so far, from the second on; if asked for."""
    came: float = field(default_factory=time.monotonic)
    """When it was queued, on the monotonic clock."""
    queued_seconds: float | None = None
    """How long it waited for its slot; None while it waits."""

    def __post_init__(self) -> None:
        self.token_ids = list(self.request.prompt_ids)

    @property
    def is_queued(self) -> bool:
        """Whether it has not got a slot yet."""
        return self.queued_seconds is None

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
    def scores_prompt(self) -> bool:
        """Whether its prompt must be computed to the last token, whatever is cached of it."""
        return self.request.prompt_logprobs is not None

    @cached_property
    def _first_key(self) -> int:
        """Stands for the first token; below 0 and the salt's own if there is one."""
        salt, first = self.request.cache_salt, self.token_ids[0]
        if not salt:
            return first
        digest = hashlib.blake2b(f"{first} {salt}".encode(), digest_size=8).digest()
        return -1 - (int.from_bytes(digest, "big") >> 1)

    def keys(self, end: int) -> list[int]:
        """The first ``end`` tokens as the prefix cache tells them apart: those of requests with
        different salts are never the same."""
        keys = self.token_ids[:end]
        if keys:
            keys[0] = self._first_key
        return keys

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

    def take(self, outcome: Outcome) -> TokenDelta:
        """Take what was sampled, up to the token that ends the sequence; what this adds."""
        before, first = len(self.token_ids), not self.is_decoding
        for token_id in outcome.token_ids:
            self.token_ids.append(token_id)
            if self.finish_reason is not None:
                break
        taken = tuple(self.token_ids[before:])
        return TokenDelta(
            taken,
            self.finish_reason,
            self.cached if first else 0,
            tuple(outcome.scores[: len(taken)]),
            tuple(self.prompt_scores) if first else (),
            self.queued_seconds if first else None,
        )
