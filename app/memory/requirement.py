"""How much memory one worker of a model takes, part by part and pool by pool."""

from collections.abc import Mapping
from typing import Literal

import msgspec

HOST = "memory"
"""The pool of the machine's main memory."""


def gpu_pool(index: int) -> str:
    """The pool of a GPU, which the driver counts as ``index``."""
    return f"gpu{index}"


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of one replica; None where they cannot be known before loading."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the weights, or most of them, lie."""
    gpus: tuple[int, ...] = ()
    """The GPUs that share weights, cache and overhead evenly."""
    weights_bytes: int | None = None
    kv_bytes: int | None = None
    """The KV cache of the context length and concurrency that were asked for."""
    overhead_bytes: int | None = None
    """Buffers of a step, the process and its libraries."""
    host_bytes: int = 0
    """Of the sum of the three, what stays in main memory although the model is on GPUs."""
    measured_bytes: int | None = None
    """What the same configuration took when it was last loaded here; trusted over the sum."""
    context_length: int | None = None
    """Tokens per request, as the engine will choose them where nobody has."""

    @property
    def planned(self) -> int | None:
        """The sum of the parts; None if one of them is not known."""
        if self.weights_bytes is None or self.kv_bytes is None or self.overhead_bytes is None:
            return None
        return self.weights_bytes + self.kv_bytes + self.overhead_bytes

    @property
    def total(self) -> int | None:
        """What is reckoned with: measured, or else planned."""
        return self.planned if self.measured_bytes is None else self.measured_bytes

    @property
    def needs(self) -> Mapping[str, int]:
        """Bytes of each pool; empty if they are not known."""
        total = self.total
        if total is None:
            return {}
        if not self.gpus:
            return {HOST: total}
        host = min(self.host_bytes, total)
        each = -(-(total - host) // len(self.gpus))
        return {**({HOST: host} if host else {}), **{gpu_pool(gpu): each for gpu in self.gpus}}
