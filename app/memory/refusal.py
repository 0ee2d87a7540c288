"""Why a model cannot be loaded, in one line with numbers."""

from collections.abc import Mapping, Sequence

from codeserve.app.manager.resolution import Resolution
from codeserve.app.memory.requirement import HOST, Requirement

NAMED = 4
"""Quantisations that a refusal names."""


def gigabytes(size: int) -> str:
    """``size`` in gigabytes (10^9 bytes); small ones with two decimals."""
    return f"{size / 1e9:.2f} GB" if size < 10e9 else f"{size / 1e9:.1f} GB"


def pool_name(pool: str) -> str:
    """``pool`` in words."""
    return "main memory" if pool == HOST else f"GPU {pool.removeprefix('gpu')}"


def refusal(
    resolution: Resolution,
    requirement: Requirement,
    limits: Mapping[str, int],
    *,
    quantizations: Sequence[tuple[str, Requirement]],
    context: int | None,
    requests: int | None,
) -> str:
    """What is needed, what there is, and what would fit: ``quantizations`` with what they need,
    a ``context`` length, or so many ``requests`` at once."""
    return (
        f"{resolution.settings.id} does not fit: {_needed(resolution, requirement)}, but there is "
        f"{_there(requirement, limits)} for models. {_advice(quantizations, context, requests)}"
    )


def _needed(resolution: Resolution, requirement: Requirement) -> str:
    settings = resolution.settings
    parts = (
        f"weights {gigabytes(requirement.weights_bytes or 0)}, KV cache "
        f"{gigabytes(requirement.kv_bytes or 0)} for {settings.max_concurrency} x "
        f"{requirement.context_length} tokens, overhead "
        f"{gigabytes(requirement.overhead_bytes or 0)}"
    )
    measured = "; measured earlier" if requirement.measured_bytes is not None else ""
    each = f"each of {settings.replica} replicas" if settings.replica > 1 else "it"
    where = f" on {len(requirement.gpus)} GPUs" if len(requirement.gpus) > 1 else ""
    return f"{each} needs {gigabytes(requirement.total or 0)}{where} ({parts}{measured})"


def _there(requirement: Requirement, limits: Mapping[str, int]) -> str:
    pools = [
        f"{gigabytes(limits[pool])} of {pool_name(pool)}"
        for pool in requirement.needs
        if pool in limits
    ]
    return " and ".join(pools)


def _advice(
    quantizations: Sequence[tuple[str, Requirement]], context: int | None, requests: int | None
) -> str:
    largest = sorted(quantizations, key=lambda item: -(item[1].total or 0))[:NAMED]
    names = ", ".join(f"{name} ({gigabytes(need.total or 0)})" for name, need in largest)
    offers = [
        *([f"quantization {names}"] if names else []),
        *([f"context_length {context}"] if context else []),
        *([f"max_concurrency {requests}"] if requests else []),
    ]
    if not offers:
        return (
            "No other quantisation, context length or concurrency alone would fit; take a smaller "
            "model."
        )
    return f"What would fit: {'; or '.join(offers)}."
