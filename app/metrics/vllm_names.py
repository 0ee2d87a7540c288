"""The same under vLLM's names, for the dashboards, autoscalers and routers that know those."""

from codeserve.app.metrics.family import Family, counter, counters, gauge, histogram
from codeserve.app.metrics.reading import Reading

BLOCK_TOKENS = 16
"""Tokens of a block, in which routers count the KV cache; vLLM's default."""


def vllm_labels(reading: Reading) -> dict[str, str]:
    """How vLLM names a model."""
    return {"engine": "0", "model_name": reading.model}


def _cache_config(reading: Reading) -> dict[tuple[str, ...], float]:
    """Of a model that is loaded."""
    tokens = 0 if reading.status is None else reading.status.kv_tokens
    return {(str(BLOCK_TOKENS), str(tokens // BLOCK_TOKENS)): 1.0} if tokens else {}


VLLM = (
    gauge(
        "vllm:num_requests_running",
        "codeserve_requests_running",
        lambda status: status.running,
    ),
    gauge(
        "vllm:num_requests_waiting",
        "codeserve_requests_waiting",
        lambda status: status.waiting,
    ),
    gauge(
        "vllm:kv_cache_usage_perc", "codeserve_kv_cache_usage_ratio", lambda status: status.kv_usage
    ),
    gauge(
        "vllm:gpu_cache_usage_perc",
        "codeserve_kv_cache_usage_ratio, older name",
        lambda status: status.kv_usage,
    ),
    Family(
        name="vllm:cache_config_info",
        documentation="The KV cache as blocks of tokens.",
        kind="gauge",
        labels=("block_size", "num_gpu_blocks"),
        read=_cache_config,
    ),
    counter(
        "vllm:prefix_cache_queries",
        "codeserve_prefix_cache_queries_total",
        lambda reading: reading.counts.prefix_queries,
    ),
    counter(
        "vllm:prefix_cache_hits",
        "codeserve_prefix_cache_hits_total",
        lambda reading: reading.counts.prefix_hits,
    ),
    counter(
        "vllm:spec_decode_num_draft_tokens",
        "codeserve_draft_tokens_proposed_total",
        lambda reading: reading.counts.drafts_proposed,
    ),
    counter(
        "vllm:spec_decode_num_accepted_tokens",
        "codeserve_draft_tokens_accepted_total",
        lambda reading: reading.counts.drafts_accepted,
    ),
    counter(
        "vllm:num_preemptions",
        "Always 0: a request that has a slot keeps it.",
        lambda reading: 0,
    ),
    counter(
        "vllm:prompt_tokens",
        "codeserve_prompt_tokens_total",
        lambda reading: reading.requests.prompt_tokens,
    ),
    counter(
        "vllm:generation_tokens",
        "codeserve_generated_tokens_total",
        lambda reading: reading.requests.generated_tokens,
    ),
    counters(
        "vllm:request_success",
        "Choices that ended by themselves, by why: stop or length; else abort or error.",
        "finished_reason",
        lambda reading: reading.requests.finish_reasons,
    ),
    histogram(
        "vllm:time_to_first_token_seconds",
        "codeserve_time_to_first_token_seconds",
        lambda reading: reading.requests.first_token,
    ),
    histogram(
        "vllm:inter_token_latency_seconds",
        "codeserve_inter_token_latency_seconds",
        lambda reading: reading.requests.between_tokens,
    ),
    histogram(
        "vllm:time_per_output_token_seconds",
        "codeserve_inter_token_latency_seconds, older name",
        lambda reading: reading.requests.between_tokens,
    ),
    histogram(
        "vllm:request_time_per_output_token_seconds",
        "codeserve_time_per_output_token_seconds",
        lambda reading: reading.requests.per_token,
    ),
    histogram(
        "vllm:e2e_request_latency_seconds",
        "codeserve_request_duration_seconds of all outcomes",
        lambda reading: reading.requests.duration,
    ),
    histogram(
        "vllm:request_queue_time_seconds",
        "codeserve_queue_time_seconds",
        lambda reading: reading.requests.queued,
    ),
    histogram(
        "vllm:request_prefill_time_seconds",
        "codeserve_prefill_time_seconds",
        lambda reading: reading.requests.prefill,
    ),
    histogram(
        "vllm:request_decode_time_seconds",
        "codeserve_decode_time_seconds",
        lambda reading: reading.requests.decode,
    ),
    histogram(
        "vllm:request_prompt_tokens",
        "codeserve_request_prompt_tokens",
        lambda reading: reading.requests.prompt_lengths,
    ),
    histogram(
        "vllm:request_generation_tokens",
        "codeserve_request_generated_tokens",
        lambda reading: reading.requests.generated_lengths,
    ),
)
