"""What a request must fulfil before it may take a slot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Self

from codeserve.engines.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    InvalidRequest,
    QueueFull,
)
from codeserve.engines.types import (
    EngineConfig,
    EngineInfo,
    GenerationRequest,
    SamplingParams,
)

RETRY_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many requests an engine takes, each choice of a client's request being one."""

    slots: int
    """Requests that are computed together."""
    waiting: int
    """Requests that may wait besides."""
    waiting_tokens: int | None
    """Prompt tokens that may wait; a request of more is taken only where none waits."""

    @classmethod
    def of(cls, config: EngineConfig) -> Self:
        """The limits that ``config`` sets."""
        return cls(config.max_concurrency, config.max_waiting, config.max_waiting_tokens)

    def check(self, prompt_tokens: int, running: int, queued: Sequence[int]) -> None:
        """Raise QueueFull where a request of ``prompt_tokens`` is one too many.

        ``running`` requests have a slot; ``queued`` are the prompt tokens of the others, in the
        order in which they came. As many of those as there are free slots are about to run.
        """
        there = running + len(queued)
        if there >= self.slots + self.waiting:
            raise QueueFull(
                f"{there} requests are running or waiting for this model, as many as allowed. Try "
                "again later.",
                retry_after=RETRY_AFTER_SECONDS,
            )
        waiting = queued[max(0, self.slots - running) :]
        if self.waiting_tokens is None or not waiting:
            return
        tokens = sum(waiting)
        if tokens + prompt_tokens > self.waiting_tokens:
            raise QueueFull(
                f"Prompts of {tokens} tokens are waiting for this model; with the {prompt_tokens} "
                f"of this one they would be more than the {self.waiting_tokens} allowed "
                "(max_waiting_tokens). Try again later.",
                retry_after=RETRY_AFTER_SECONDS,
            )


def queue_deadline(timeout: float) -> DeadlineExceeded:
    """What a request is told that has got no slot within ``timeout`` seconds."""
    return DeadlineExceeded(
        f"The request waited {timeout:g} s for its turn, as long as it may (queue_timeout).",
        param="queue_timeout",
    )


def check(request: GenerationRequest, info: EngineInfo) -> None:
    """Raise InvalidRequest for a request that would break a step that others share."""
    prompt = request.prompt_ids
    if not prompt:
        raise InvalidRequest("The prompt has no tokens; at least one is needed.", param="prompt")
    _check_ids((min(prompt), max(prompt)), "prompt", info)
    if len(prompt) >= info.context_length:
        raise ContextLengthExceeded.of(len(prompt), info.context_length)
    room = info.context_length - len(prompt)
    if not 1 <= request.max_tokens <= room:
        raise InvalidRequest(
            f"max_tokens is {request.max_tokens}; after a prompt of {len(prompt)} tokens, 1 to "
            f"{room} fit into the context of {info.context_length}.",
            param="max_tokens",
        )
    _check_ids(request.stop_ids, "stop_token_ids", info)
    _check_sampling(request.sampling, info)
    if request.sampling.grammar is not None and not info.variant.stop_ids & request.stop_ids:
        raise InvalidRequest(
            "An output of a prescribed form ends where the model ends it, so its end cannot be "
            "ignored.",
            param="ignore_eos",
        )


def _check_sampling(sampling: SamplingParams, info: EngineInfo) -> None:
    _check_ids(sampling.logit_bias, "logit_bias", info)
    _check_ids(sampling.allowed_ids, "allowed_token_ids", info)
    numbers = {
        "temperature": (sampling.temperature,),
        "top_p": (sampling.top_p,),
        "min_p": (sampling.min_p,),
        "typical_p": (sampling.typical_p,),
        "presence_penalty": (sampling.presence_penalty,),
        "frequency_penalty": (sampling.frequency_penalty,),
        "repetition_penalty": (sampling.repetition_penalty,),
        "logit_bias": sampling.logit_bias.values(),
    }
    for name, values in numbers.items():
        if not all(map(isfinite, values)):
            raise InvalidRequest(f"{name} must be a finite number.", param=name)
    if sampling.temperature < 0:
        raise InvalidRequest("temperature must not be negative.", param="temperature")
    if sampling.repetition_penalty <= 0:
        raise InvalidRequest("repetition_penalty must be above 0.", param="repetition_penalty")


def _check_ids(token_ids: Iterable[int], param: str, info: EngineInfo) -> None:
    for token_id in token_ids:
        if not 0 <= token_id < info.vocab_size:
            raise InvalidRequest(
                f"{param}: token id {token_id} is outside this model's vocabulary, 0 to "
                f"{info.vocab_size - 1}.",
                param=param,
            )
