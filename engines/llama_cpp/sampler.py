"""How one request's tokens are chosen, in llama.cpp's sampler chain."""

import secrets
from collections.abc import Mapping
from typing import Any

import llama_cpp

from codeserve.engines.types import GenerationRequest, SamplingParams

GREEDY_BELOW = 1e-5
"""A temperature so low that only the likeliest token is left."""

RANDOM_SEED = 0xFFFFFFFF
"""``LLAMA_DEFAULT_SEED``, which makes llama.cpp draw its own."""


class Sampler:
    """The chain of one slot, to be closed once."""

    def __init__(self, request: GenerationRequest, vocab_size: int, context_length: int) -> None:
        params = request.sampling
        options = llama_cpp.llama_sampler_chain_default_params()
        self._chain = llama_cpp.llama_sampler_chain_init(options)
        if params.logit_bias:
            biases = _biases(params.logit_bias)
            self._add(llama_cpp.llama_sampler_init_logit_bias(vocab_size, len(biases), biases))
        if params.repetition_penalty != 1:
            repetition = llama_cpp.llama_sampler_init_penalties(
                vocab_size, context_length, params.repetition_penalty, 0.0, 0.0
            )
            for token_id in request.prompt_ids:
                llama_cpp.llama_sampler_accept(repetition, token_id)
            self._add(repetition)
        if params.frequency_penalty or params.presence_penalty:
            self._add(
                llama_cpp.llama_sampler_init_penalties(
                    vocab_size,
                    context_length,
                    1.0,
                    params.frequency_penalty,
                    params.presence_penalty,
                )
            )
        self._add_choice(params)

    def sample(self, context: Any, index: int) -> int:
        """The next token, from the logits at ``index`` of the last batch."""
        token: int = llama_cpp.llama_sampler_sample(self._chain, context, index)
        return token

    def close(self) -> None:
        """Free the chain and the samplers in it."""
        chain, self._chain = self._chain, None
        if chain is not None:
            llama_cpp.llama_sampler_free(chain)

    def _add_choice(self, params: SamplingParams) -> None:
        if params.temperature < GREEDY_BELOW:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        self._add(llama_cpp.llama_sampler_init_temp(params.temperature))
        if params.top_k > 0:
            self._add(llama_cpp.llama_sampler_init_top_k(params.top_k))
        if params.typical_p < 1:
            self._add(llama_cpp.llama_sampler_init_typical(params.typical_p, 1))
        if params.top_p < 1:
            self._add(llama_cpp.llama_sampler_init_top_p(params.top_p, 1))
        if params.min_p > 0:
            self._add(llama_cpp.llama_sampler_init_min_p(params.min_p, 1))
        self._add(llama_cpp.llama_sampler_init_dist(_seed(params.seed)))

    def _add(self, sampler: Any) -> None:
        llama_cpp.llama_sampler_chain_add(self._chain, sampler)


def is_plain_greedy(params: SamplingParams) -> bool:
    """Whether the likeliest token is chosen as it stands, so that no chain is needed."""
    return (
        params.temperature < GREEDY_BELOW
        and params.repetition_penalty == 1
        and not params.frequency_penalty
        and not params.presence_penalty
        and not params.logit_bias
    )


def _biases(biases: Mapping[int, float]) -> Any:
    return (llama_cpp.llama_logit_bias * len(biases))(*biases.items())


def _seed(seed: int | None) -> int:
    """A 32-bit seed; never ``RANDOM_SEED``."""
    fresh = secrets.randbits(64) if seed is None else seed
    return fresh % RANDOM_SEED
