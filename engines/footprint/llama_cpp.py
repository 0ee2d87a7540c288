"""What llama.cpp's KV cache and buffers take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from codeserve.engines.footprint.footprint import Footprint, Load
from codeserve.engines.memory import MIB, default_context_length
from codeserve.model_specs.errors import WeightsError
from codeserve.model_specs.network import Network
from codeserve.model_specs.weights_head import WeightsHead

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "iq4_nl", "q4_1", "q4_0"]

BITS: Mapping[str, float] = {
    "f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q5_1": 6, "q5_0": 5.5, "iq4_nl": 4.5,
    "q4_1": 5, "q4_0": 4.5,
}  # fmt: skip
"""Of a number in the cache."""

KEPT_PREFIXES = 34
"""Slots for prefixes that no running request uses; llama.cpp's limit is 256 slots in all."""
SPARE_CELLS = 256
"""For blocks on their way to and from the store."""
CELLS_STEP = 256
"""llama.cpp makes the cache a multiple of it."""
SAMPLED_ROWS = 64
"""Tokens of a step whose logits can be computed, at least."""

PROCESS_BYTES = 80 * MIB
"""Python, llama.cpp's libraries, a vocabulary and its tokenizer."""
GPU_CONTEXT_BYTES = 512 * MIB
"""CUDA's own on each GPU. Untried."""
SCORE_TENSORS = 3
"""Without flash attention: tensors of a score for each token, head and cell at a time."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Those of the engine's options that change what it takes, with the engine's defaults."""

    n_batch: int = 256
    n_ubatch: int | None = None
    flash_attn: str = "auto"
    type_k: CacheType | None = None
    type_v: CacheType | None = None
    n_gpu_layers: int | None = None
    offload_kqv: bool = True
    deterministic: bool = False
    cache_host_mib: int | None = None
    draft: bool = True
    draft_model: str | None = None


def default_token_bytes(
    keys: int, values: int, type_k: str | None = None, type_v: str | None = None
) -> int:
    """Bytes of one token's ``keys`` and ``values`` numbers, as the default context length counts
    them: a quantised cache and one whose type is not decided yet count as float16."""
    return sum(
        numbers * (4 if kind == "f32" else 2)
        for numbers, kind in ((keys, type_k), (values, type_v))
    )


def slots(concurrency: int, *, shared: bool) -> int:
    """Sequences that the cache tells apart."""
    return 2 * concurrency + KEPT_PREFIXES if shared else concurrency


def cells(concurrency: int, context_length: int, *, shared: bool) -> int:
    """Tokens that the cache holds, where sequences share cells or where each has its part."""
    return concurrency * context_length + (SPARE_CELLS if shared else 0)


def footprint(load: Load) -> Footprint:
    """Of one worker. Raises msgspec.ValidationError for options that are none."""
    options = msgspec.convert(dict(load.options), Options)
    network = load.network
    context_length = load.context_length or default_context_length(
        load.trained_context_length,
        load.concurrency,
        default_token_bytes(
            network.token_keys, network.token_values, options.type_k, options.type_v
        ),
        load.free_bytes - load.head.bytes,
    )
    draft = _draft_head(options)
    networks = [network, *([draft.network] if draft and draft.network else [])]
    kv = sum(kv_bytes(each, options, load.concurrency, context_length) for each in networks)
    buffers = sum(
        buffers_bytes(each, options, load.concurrency, context_length) for each in networks
    )
    reserved = (options.cache_host_mib or 0) * MIB
    whole = Footprint(
        context_length=context_length,
        weights_bytes=load.head.bytes + (draft.bytes if draft else 0),
        kv_bytes=kv,
        buffers_bytes=buffers + reserved,
        process_bytes=PROCESS_BYTES,
        late_bytes=kv + buffers + reserved,
    )
    return _offloaded(whole, options, load, reserved) if load.gpus else whole


def kv_bytes(network: Network, options: Options, concurrency: int, context_length: int) -> int:
    """Of the cache for ``concurrency`` requests of ``context_length`` tokens."""
    bits = network.token_keys * BITS[options.type_k or "f16"]
    bits += network.token_values * BITS[options.type_v or "f16"]
    return round(_padded_cells(options, concurrency, context_length) * bits / 8)


def buffers_bytes(network: Network, options: Options, concurrency: int, context_length: int) -> int:
    """Of a step: its tokens' hidden states and the widest layer's, the attention's mask, and the
    logits."""
    tokens = min(options.n_ubatch or options.n_batch, options.n_batch)
    context = _padded_cells(options, concurrency, context_length)
    states = tokens * 4 * (3 * network.ffn + 4 * network.hidden)
    mask = tokens * context * (4 + 2)
    scores = SCORE_TENSORS * tokens * context * network.heads * 4
    rows = max(slots(concurrency, shared=not options.deterministic) + 1, SAMPLED_ROWS)
    logits = 2 * 4 * rows * network.vocab_rows
    return states + mask + logits + (scores if options.flash_attn == "off" else 0)


def _draft_head(options: Options) -> WeightsHead | None:
    """The small model that guesses tokens; None: there is none, or the engine will refuse it."""
    if not options.draft or options.draft_model is None:
        return None
    try:
        return WeightsHead.read(Path(options.draft_model).expanduser())
    except WeightsError:
        return None


def _padded_cells(options: Options, concurrency: int, context_length: int) -> int:
    count = cells(concurrency, context_length, shared=not options.deterministic)
    return -(-count // CELLS_STEP) * CELLS_STEP


def _offloaded(whole: Footprint, options: Options, load: Load, reserved: int) -> Footprint:
    """``whole`` where the first layers are on GPUs: what llama.cpp gets there, it takes at once."""
    wanted, layers = options.n_gpu_layers, load.network.layers
    there = layers if wanted is None or wanted < 0 else min(wanted, layers)
    stay = (layers - there) / layers
    kept_kv = stay if options.offload_kqv else 1.0
    left = round(whole.weights_bytes * stay) + round(whole.kv_bytes * kept_kv)
    return msgspec.structs.replace(
        whole,
        process_bytes=whole.process_bytes + GPU_CONTEXT_BYTES * len(load.gpus),
        late_bytes=reserved,
        host_bytes=left + PROCESS_BYTES + reserved,
    )
