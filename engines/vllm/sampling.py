"""Our requests as vLLM's sampling parameters.

vLLM draws, penalises and biases. What may be sampled at all, and truncations in another order than
vLLM's, are rules that our processors follow in vLLM's workers (``rules``).
"""

from vllm.sampling_params import RequestOutputKind
from vllm.sampling_params import SamplingParams as VllmSamplingParams

from codeserve.engines.errors import UnsupportedFeature
from codeserve.engines.types import GenerationRequest, SamplingParams
from codeserve.engines.vllm.rules import Rules

GREEDY_BELOW = 1e-5
"""A temperature so low that only the likeliest token is left."""
LEAST_TOP_P = 1e-9
"""vLLM wants more than 0; of so little probability, the likeliest token is left."""
SEEDS = 2**63


def translate(request: GenerationRequest) -> VllmSamplingParams:
    """What vLLM needs to know of ``request``, besides its prompt."""
    sampling, rules = request.sampling, Rules.of(request)
    is_greedy = sampling.temperature < GREEDY_BELOW
    ours = is_greedy or rules.truncation is not None
    return VllmSamplingParams(
        temperature=0.0 if is_greedy else sampling.temperature,
        top_k=0 if ours else max(0, sampling.top_k),
        top_p=1.0 if ours else min(1.0, max(LEAST_TOP_P, sampling.top_p)),
        min_p=0.0 if ours else min(1.0, max(0.0, sampling.min_p)),
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=dict(sampling.logit_bias) or None,
        seed=None if sampling.seed is None else sampling.seed % SEEDS,
        max_tokens=request.max_tokens,
        stop_token_ids=sorted(request.stop_ids),
        ignore_eos=True,
        logprobs=request.logprobs,
        prompt_logprobs=request.prompt_logprobs,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        skip_clone=True,
        extra_args=rules.packed,
    )


def translate_for_drafts(
    request: GenerationRequest, vocab_size: int, never_sampled: frozenset[int]
) -> VllmSamplingParams:
    """The same where vLLM verifies drafts, and lets no processor of ours take part.

    Raises UnsupportedFeature for what vLLM cannot do then.
    """
    sampling = request.sampling
    _check_for_drafts(sampling)
    params = translate(request)
    never = never_sampled | request.never_ids
    allowed = {*sampling.allowed_ids, *request.stop_ids} if sampling.allowed_ids else None
    params.extra_args = None
    params.min_tokens = sampling.min_tokens
    params.allowed_token_ids = [
        token_id
        for token_id in (range(vocab_size) if allowed is None else sorted(allowed))
        if token_id not in never
    ]
    return params


def _check_for_drafts(sampling: SamplingParams) -> None:
    used = {
        "response_format": sampling.grammar is not None,
        "logit_bias": bool(sampling.logit_bias),
        "typical_p": sampling.typical_p < 1,
        "min_p": sampling.min_p > 0,
    }
    for name, is_used in used.items():
        if is_used:
            raise UnsupportedFeature(
                f"{name} is not supported while this model runs on vLLM with speculative_config.",
                param=name,
            )
