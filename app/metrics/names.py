"""What this server says of each model, under its own names."""

from codeserve.app.manager.status import ModelState
from codeserve.app.metrics.family import Family, counter, counters, gauge, histogram
from codeserve.app.metrics.reading import Reading


def model_label(reading: Reading) -> dict[str, str]:
    """How this server names a model."""
    return {"model": reading.model}


def _states(reading: Reading) -> dict[tuple[str, ...], float]:
    status = reading.status
    return {} if status is None else {(one,): one is status.state for one in ModelState}


OF_REQUESTS = (
    counters(
        "codeserve_requests",
        "Requests that have ended, by how: ok, disconnected, refused or error.",
        "outcome",
        lambda reading: reading.requests.outcomes,
    ),
    counters(
        "codeserve_rejected_requests",
        "Requests with the outcome refused, by the kind of error, such as queue_full.",
        "reason",
        lambda reading: reading.requests.rejections,
    ),
)
"""These have values of requests without a known model, too."""

OF_MODELS = (
    counters(
        "codeserve_cancelled_requests",
        "Requests whose client went away, by how far they had come: queued, prefill or decode.",
        "stage",
        lambda reading: reading.requests.cancelled,
    ),
    histogram(
        "codeserve_time_to_first_token_seconds",
        "From the arrival of a request to its first token.",
        lambda reading: reading.requests.first_token,
    ),
    histogram(
        "codeserve_inter_token_latency_seconds",
        "From one delivery of tokens to the next, divided by the tokens of the next.",
        lambda reading: reading.requests.between_tokens,
    ),
    histogram(
        "codeserve_time_per_output_token_seconds",
        "Mean time per token after the first, one value a request.",
        lambda reading: reading.requests.per_token,
    ),
    histogram(
        "codeserve_queue_time_seconds",
        "How long a request waited for a slot of the engine.",
        lambda reading: reading.requests.queued,
    ),
    histogram(
        "codeserve_prefill_time_seconds",
        "From the slot to the first token.",
        lambda reading: reading.requests.prefill,
    ),
    histogram(
        "codeserve_decode_time_seconds",
        "From the first token to the last.",
        lambda reading: reading.requests.decode,
    ),
    Family(
        name="codeserve_request_duration_seconds",
        documentation="From the arrival of a request that an engine took to the answer's end.",
        kind="histogram",
        labels=("outcome",),
        read=lambda reading: {(key,): one for key, one in reading.requests.durations.items()},
    ),
    histogram(
        "codeserve_request_prompt_tokens",
        "Tokens of a request's prompts.",
        lambda reading: reading.requests.prompt_lengths,
    ),
    histogram(
        "codeserve_request_generated_tokens",
        "Tokens generated for a request, all choices together.",
        lambda reading: reading.requests.generated_lengths,
    ),
    counter(
        "codeserve_prompt_tokens",
        "Tokens of prompts, cached ones included.",
        lambda reading: reading.requests.prompt_tokens,
    ),
    counter(
        "codeserve_cached_prompt_tokens",
        "Tokens of prompts that were not computed because they were cached.",
        lambda reading: reading.requests.cached_tokens,
    ),
    counter(
        "codeserve_generated_tokens",
        "Tokens generated.",
        lambda reading: reading.requests.generated_tokens,
    ),
    counter(
        "codeserve_prefix_cache_queries",
        "Tokens of prompts that were looked up in the prefix cache.",
        lambda reading: reading.counts.prefix_queries,
    ),
    counter(
        "codeserve_prefix_cache_hits",
        "Tokens of prompts that were found in the prefix cache.",
        lambda reading: reading.counts.prefix_hits,
    ),
    counter(
        "codeserve_draft_tokens_proposed",
        "Tokens guessed ahead.",
        lambda reading: reading.counts.drafts_proposed,
    ),
    counter(
        "codeserve_draft_tokens_accepted",
        "Guessed tokens that were right.",
        lambda reading: reading.counts.drafts_accepted,
    ),
    histogram(
        "codeserve_load_time_seconds",
        "From the start of loading until a model served.",
        lambda reading: reading.history.load_seconds,
    ),
    counter(
        "codeserve_model_loads",
        "Times that a model began to serve.",
        lambda reading: reading.history.load_seconds.count,
    ),
    counter(
        "codeserve_model_evictions",
        "Times that a model was unloaded because others needed its memory.",
        lambda reading: reading.history.evictions,
    ),
    counter(
        "codeserve_worker_restarts",
        "Workers that were lost and replaced.",
        lambda reading: reading.history.restarts,
    ),
    counter(
        "codeserve_download_bytes",
        "Bytes of weights that were downloaded.",
        lambda reading: reading.history.downloaded_bytes,
    ),
    gauge(
        "codeserve_requests_running",
        "Choices that the engine computes, at the last heartbeat.",
        lambda status: status.running,
    ),
    gauge(
        "codeserve_requests_waiting",
        "Choices that wait for a slot, at the last heartbeat, and requests that wait for a load.",
        lambda status: status.waiting,
    ),
    gauge(
        "codeserve_waiting_prompt_tokens",
        "Prompt tokens of the choices that wait for a slot.",
        lambda status: status.waiting_tokens,
    ),
    gauge(
        "codeserve_queue_oldest_seconds",
        "How long the one has waited that waits longest; 0 where none waits.",
        lambda status: status.oldest_wait,
    ),
    gauge(
        "codeserve_kv_cache_usage_ratio",
        "Share of the KV cache that running requests use, from 0 to 1.",
        lambda status: status.kv_usage,
    ),
    Family(
        name="codeserve_model_state",
        documentation="1 for the state that the model is in, 0 for all others.",
        kind="gauge",
        labels=("state",),
        read=_states,
    ),
    gauge(
        "codeserve_model_memory_bytes",
        "What the model's workers take: measured, or else estimated; 0 where nothing is loaded.",
        lambda status: status.memory_bytes or 0,
    ),
)
