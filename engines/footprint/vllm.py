"""What a model on vLLM takes: on a CPU as much as its cache is given, on a GPU a share of it."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint.footprint import Footprint, Load
from codeserve.engines.memory import LONGEST_DEFAULT, SHARE, STEP

GIB = 1024**3
PROCESSES = 3 * GIB
"""What vLLM's three processes take beside weights and cache."""
BLOCK = 128
"""Tokens of one block of the cache on a CPU."""
SIZES: Mapping[str, int] = {"float32": 4, "float": 4}
"""Bytes of a number; 2 for others."""
FP8 = "fp8"
GPU_SHARE = 0.92
"""vLLM's default for ``gpu_memory_utilization``."""
GPU_OVERHEAD = 2 * GIB
"""On each GPU: CUDA's context, its graphs and the buffers of a step. Untried."""
HALF_METHODS = frozenset({"gptq", "awq"})
"""Quantisations whose kernels compute in float16 on every device."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Those of vLLM's options that change what it takes, with its defaults."""

    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    kv_cache_memory_bytes: int | None = None
    nnodes: int = 1


def token_bytes(config: Mapping[str, Any], dtype: str) -> int:
    """Bytes of one token's keys and values over all layers, of a model's ``config.json``."""
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    size = config.get("head_dim") or config["hidden_size"] // heads
    return int(2 * config["num_hidden_layers"] * kv_heads * size * SIZES.get(dtype, 2))


def fit(asked: int | None, trained: int, slots: int, per_token: int, free: int) -> tuple[int, int]:
    """Tokens per request, and bytes of a KV cache for ``slots`` requests, in ``free`` bytes.

    ``asked``: the context length, if it was given; else at most ``trained`` and 8192 tokens. The
    requests share the cache, so it need not hold all of them at full length, but one at least.
    Raises ModelLoadError where that does not fit.
    """
    room = int(max(0, free) * SHARE) // per_token
    length = asked or min(trained, LONGEST_DEFAULT, max(STEP, room // STEP * STEP))
    if _blocks(length) > room:
        raise ModelLoadError(
            f"The KV cache of one request of {length} tokens takes "
            f"{_blocks(length) * per_token / GIB:.1f} GiB, but only {room * per_token / GIB:.1f} "
            "GiB of memory can be given to it. Lower context_length, or free memory.",
            code="out_of_memory",
        )
    return length, min(_blocks(length) * slots, room) * per_token


def footprint(load: Load) -> Footprint:
    """Of one worker. Raises msgspec.ValidationError for options that are none."""
    options = msgspec.convert(dict(load.options), Options)
    dtype = _dtype(load, options)
    cache_dtype = dtype if options.kv_cache_dtype == "auto" else options.kv_cache_dtype
    number = 1 if cache_dtype.startswith(FP8) else SIZES.get(cache_dtype, 2)
    per_token = (load.network.token_keys + load.network.token_values) * number
    weights = _weights_bytes(load, dtype)
    asked = load.context_length or options.max_model_len
    if load.gpus:
        return _on_gpus(load, options, asked, weights, per_token)
    return _on_cpu(load, options, asked, weights, per_token)


def _on_cpu(
    load: Load, options: Options, asked: int | None, weights: int, per_token: int
) -> Footprint:
    trained = load.trained_context_length
    length, kv = asked or trained, _given_cache(options)
    if kv is None:
        free = load.free_bytes - load.head.bytes - PROCESSES
        try:
            length, kv = fit(asked, trained, load.concurrency, per_token, free)
        except ModelLoadError:  # what one request needs at least says better why it cannot be
            length = asked or min(trained, STEP)
            kv = _blocks(length) * per_token
    return Footprint(
        context_length=length,
        weights_bytes=weights,
        kv_bytes=kv,
        buffers_bytes=0,
        process_bytes=PROCESSES,
    )


def _given_cache(options: Options) -> int | None:
    """The size of the cache on a CPU that the operator has set."""
    if options.kv_cache_memory_bytes is not None:
        return options.kv_cache_memory_bytes
    space = os.environ.get("VLLM_CPU_KVCACHE_SPACE", "")
    return int(space) * GIB if space.isdecimal() and int(space) else None


def _on_gpus(
    load: Load, options: Options, asked: int | None, weights: int, per_token: int
) -> Footprint:
    """The cache is what the share leaves, and at least what one request needs. The other machines
    of several have their part of it and of the weights."""
    count = len(load.gpus)
    length = asked or load.trained_context_length
    weights, per_token = weights // options.nnodes, -(-per_token // options.nnodes)
    overhead = GPU_OVERHEAD * count
    share = options.gpu_memory_utilization or GPU_SHARE
    given = options.kv_cache_memory_bytes
    left = int(min(load.gpus) * share) * count - weights - overhead
    return Footprint(
        context_length=length,
        weights_bytes=weights,
        kv_bytes=max(left, length * per_token) if given is None else given * count,
        buffers_bytes=0,
        process_bytes=overhead + PROCESSES,
        host_bytes=PROCESSES,
    )


def _dtype(load: Load, options: Options) -> str:
    if load.head.method in HALF_METHODS:
        return "float16"
    return (load.head.dtype or "auto") if options.dtype == "auto" else options.dtype


def _weights_bytes(load: Load, dtype: str) -> int:
    head = load.head
    if head.method is not None:
        return head.bytes
    stored = SIZES.get(head.dtype or "", 2)
    return head.bytes // stored * SIZES.get(dtype, 2)


def _blocks(length: int) -> int:
    """Tokens of the blocks that hold ``length`` tokens, and of the one that vLLM keeps empty."""
    return (-(-length // BLOCK) + 1) * BLOCK
