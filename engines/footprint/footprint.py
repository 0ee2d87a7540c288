"""The memory of one worker, as each engine's own rules give it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from codeserve.engines.types import LoadQuantization
from codeserve.model_specs.network import Network
from codeserve.model_specs.weights_head import WeightsHead


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to load, and what it finds."""

    head: WeightsHead
    network: Network
    concurrency: int
    context_length: int | None
    """None: the engine's default."""
    trained_context_length: int
    quantization: LoadQuantization | None
    """What the weights become while they are loaded."""
    options: Mapping[str, Any]
    free_bytes: int
    """Main memory that is free before."""
    gpus: tuple[int, ...] = ()
    """The whole memory of each GPU that the worker gets, in bytes."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, over all GPUs."""

    context_length: int
    """Tokens per request."""
    weights_bytes: int
    kv_bytes: int
    buffers_bytes: int
    """What a step needs, and the cache in main memory for evicted prefixes if it was asked for."""
    process_bytes: int
    """The process, its libraries and a GPU's context."""
    late_bytes: int = 0
    """Of these, what the kernel gives only when it is first used, after loading."""
    host_bytes: int = 0
    """Of these, what is in main memory though the model is on GPUs."""
