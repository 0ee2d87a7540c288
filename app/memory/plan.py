"""What loading a model would take, for people and programs to read."""

from collections.abc import Mapping

import msgspec

from codeserve.app.memory.requirement import Requirement


class QuantizationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One quantisation of the size that was asked for."""

    quantization: str
    weights_bytes: int
    exact: bool
    """False: estimated from the number of parameters, good to about a tenth."""
    small_context_bytes: int
    """All that one replica takes with one request of 8192 tokens."""
    context_length: int
    """Tokens per request: those that were asked for, or else the engine's default."""
    total_bytes: int
    """All that one replica takes with this context and the concurrency that was asked for."""
    fits: bool
    """Whether all replicas fit this machine."""
    missing_bytes: int
    """Of the pool that has too little; 0 if it fits."""
    longest_context: int | None
    """Tokens per request that would fit at this concurrency; None: not even 512."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer."""

    id: str
    engine: str
    installed: bool
    """Whether the engine is, on this machine."""
    weights: str
    """Where their size is known from: a path, or ``catalogue``."""
    exact: bool
    replicas: int
    max_concurrency: int
    requirement: Requirement
    """Of one replica."""
    total_bytes: int | None
    """Of one replica; None: it cannot be known before loading."""
    needs: Mapping[str, int]
    """Bytes of each pool, of all replicas."""
    limits: Mapping[str, int]
    """Bytes of each pool that models may take."""
    free: Mapping[str, int]
    """Bytes of each pool that are free now."""
    fits: bool | None
    """None: it cannot be known before loading."""
    refusal: str | None
    """Why a launch would be refused, with what would fit; None: it would not."""
    longest_context: int | None
    """Tokens per request that would fit at this concurrency; None: not even 512, or unknown."""
    quantizations: tuple[QuantizationPlan, ...]
