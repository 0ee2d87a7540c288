"""How large vLLM's KV cache is where nobody has said so: on a CPU, where vLLM would take nearly all
memory that the machine has."""

import os
from collections.abc import Mapping
from typing import Any

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.memory import LONGEST_DEFAULT, SHARE, STEP

GIB = 1024**3
PROCESSES = 3 * GIB
"""What vLLM's three processes take beside weights and cache."""
BLOCK = 128
"""Tokens of one block of the cache on a CPU."""
SIZES = {"float32": 4, "float": 4}


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


def _blocks(length: int) -> int:
    """Tokens of the blocks that hold ``length`` tokens, and of the one that vLLM keeps empty."""
    return (-(-length // BLOCK) + 1) * BLOCK


def cores() -> str:
    """The cores that this process may use, as ``VLLM_CPU_OMP_THREADS_BIND`` has them."""
    if not hasattr(os, "sched_getaffinity"):
        return "nobind"
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))
