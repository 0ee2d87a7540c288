"""What a model on Transformers takes."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from codeserve.engines.footprint.footprint import Footprint, Load
from codeserve.engines.memory import MIB, default_context_length
from codeserve.engines.types import LoadQuantization

FLOAT16_ONLY = ("gptq", "awq")
"""Quantisations whose kernels compute in float16."""
BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
STORED = ("bfloat16", "float16")
"""Types of a checkpoint's numbers that are computed in as they are; others become float32."""
LOADED_BITS: Mapping[LoadQuantization, float] = {
    LoadQuantization.FOUR_BIT: 4.5,
    LoadQuantization.EIGHT_BIT: 8.1,
}
"""Of a weight that bitsandbytes has quantised, with its share of the scales."""

SPARE_CELLS = 256
"""For blocks on their way from the store."""
PROCESS_BYTES = 450 * MIB
"""Python, PyTorch and Transformers, as measured on a CPU."""
GPU_CONTEXT_BYTES = 800 * MIB
"""CUDA's own and its libraries' on a GPU. Untried."""
CPU = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = ("avx512_bf16", "amx_tile")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Those of the engine's options that change what it takes, with the engine's defaults."""

    dtype: str = "auto"
    kv_dtype: str = "auto"
    n_batch: int = 256
    cache_host_mib: int | None = None


def footprint(load: Load) -> Footprint:
    """Of one worker. Raises msgspec.ValidationError for options that are none."""
    options = msgspec.convert(dict(load.options), Options)
    network = load.network
    dtype = number_type(load, options)
    weights = _weights_bytes(load, BYTES.get(dtype, 4))
    kv_dtype = dtype if options.kv_dtype == "auto" else options.kv_dtype
    token = (network.token_keys + network.token_values) * BYTES.get(kv_dtype, 4)
    room = sum(load.gpus) if load.gpus else load.free_bytes
    context_length = load.context_length or default_context_length(
        load.trained_context_length, load.concurrency, token, room - weights
    )
    kv = (load.concurrency * context_length + SPARE_CELLS) * token
    buffers = buffers_bytes(load, options)
    reserved = (options.cache_host_mib or 0) * MIB
    on_gpu = bool(load.gpus)
    return Footprint(
        context_length=context_length,
        weights_bytes=weights,
        kv_bytes=kv,
        buffers_bytes=buffers + reserved,
        process_bytes=PROCESS_BYTES + GPU_CONTEXT_BYTES * len(load.gpus),
        late_bytes=reserved + (buffers if on_gpu else buffers + kv),
        host_bytes=PROCESS_BYTES + reserved if on_gpu else 0,
    )


def number_type(load: Load, options: Options) -> str:
    """What is computed in; see the engine's own choice, which this follows without PyTorch."""
    if load.head.method in FLOAT16_ONLY:
        return "float16"
    if options.dtype != "auto":
        return options.dtype
    stored = load.head.dtype if load.head.dtype in STORED else "float32"
    if load.gpus:
        return stored or "float32"
    return "bfloat16" if stored == "bfloat16" and _computes_in_bfloat16() else "float32"


def buffers_bytes(load: Load, options: Options) -> int:
    """Of a step: hidden states, the widest layer's, and logits in two types."""
    network = load.network
    states = options.n_batch * 4 * (3 * network.ffn + 6 * network.hidden)
    return states + 2 * 4 * (options.n_batch + load.concurrency) * network.vocab_rows


def _weights_bytes(load: Load, size: int) -> int:
    """In memory: quantised ones as they are stored, others in the type that is computed in."""
    network, head = load.network, load.head
    if load.quantization is not None:
        packed = round(network.linear_parameters * LOADED_BITS[load.quantization] / 8)
        return packed + (network.parameters - network.linear_parameters) * size
    if head.method is not None:
        return head.bytes
    return head.bytes // BYTES.get(head.dtype or "float32", 4) * size


def _computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    try:
        text = CPU.read_text()
    except OSError:
        return False
    return any(flag in text for flag in BFLOAT16_FLAGS)
