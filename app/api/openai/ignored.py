"""Fields that clients really send and that are taken without effect, on every OpenAI route.

Nothing reads this at run time: what is not honoured and not refused is ignored. The table is what
``docs/completions.md`` shows, and tests hold both to the request types.
"""

from collections.abc import Mapping

CACHE = "prompts share cached prefixes by themselves"
NOTHING_KEPT = "nothing is kept of a request"
ONE_TIER = "all requests are served alike"
NATIVE = "belongs to llama.cpp's own routes"
OLLAMA = "belongs to Ollama's own routes"
SWITCHED_OFF = "tunes a sampler that is refused by the field that switches it on"

IGNORED: Mapping[str, str] = {
    "cache_prompt": CACHE,
    "dry_allowed_length": SWITCHED_OFF,
    "dry_base": SWITCHED_OFF,
    "dry_penalty_last_n": SWITCHED_OFF,
    "dry_sequence_breakers": SWITCHED_OFF,
    "dynatemp_exponent": SWITCHED_OFF,
    "guided_decoding_backend": "one library keeps every form",
    "id_slot": CACHE,
    "keep_alive": OLLAMA,
    "metadata": NOTHING_KEPT,
    "mirostat_eta": SWITCHED_OFF,
    "mirostat_tau": SWITCHED_OFF,
    "moderation": "no text is moderated",
    "n_indent": NATIVE,
    "n_keep": "a prompt is never shortened unasked",
    "n_probs": "`logprobs` asks for them",
    "options": OLLAMA,
    "penalize_nl": "every token is penalised alike",
    "post_sampling_probs": "log-probabilities are those of the raw distribution",
    "prediction": "drafting needs no help of the client",
    "prompt_cache_key": CACHE,
    "prompt_cache_options": CACHE,
    "prompt_cache_retention": CACHE,
    "reasoning_effort": "the models here do not reason apart",
    "repeat_last_n": "`repetition_penalty` counts prompt and output as a whole",
    "request_id": "the header `x-request-id` names a request",
    "response_fields": NATIVE,
    "return_progress": NATIVE,
    "return_tokens": "`return_token_ids` asks for them",
    "safety_identifier": NOTHING_KEPT,
    "samplers": "samplers have one order",
    "service_tier": ONE_TIER,
    "session_id": CACHE,
    "spaces_between_special_tokens": "tokens are never joined by spaces",
    "sse_ping_interval": "the server sets it, `keepalive_seconds`",
    "store": NOTHING_KEPT,
    "stream_interval": "every step is sent as it comes",
    "stream_options.include_obfuscation": "nothing is padded",
    "structured_outputs.disable_fallback": "one library keeps every form",
    "t_max_predict_ms": NATIVE,
    "t_max_prompt_ms": NATIVE,
    "timings_per_token": NATIVE,
    "user": NOTHING_KEPT,
    "verbosity": "the models here have no such setting",
    "vllm_xargs": "belongs to plug-ins of vLLM",
    "xtc_threshold": SWITCHED_OFF,
}
"""Field to the reason why it needs no effect."""
