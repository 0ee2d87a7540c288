"""How many tokens the KV cache has room for, on one device or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from codeserve.engines import memory
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.transformers.probe import LayerShape
from codeserve.model_specs.spec import Variant

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that each device has left beside the weights, and what a token takes there."""

    free_bytes: Mapping[Any, int]
    token_bytes: Mapping[Any, int]

    @classmethod
    def of(cls, model: Any, layers: Sequence[LayerShape], dtype: Any, host_bytes: int) -> "Room":
        """The room beside a loaded ``model``. ``host_bytes``: what was free in host memory before
        it was loaded, because weights that are mapped from files still count as free."""
        token_bytes = {
            device: sum(s.numbers for s in layers if s.device == device) * dtype.itemsize
            for device in {shape.device for shape in layers}
        }
        free = {
            device: torch.cuda.mem_get_info(device)[0]
            if device.type == "cuda"
            else host_bytes - model.get_memory_footprint()
            for device in token_bytes
        }
        return cls(free, token_bytes)

    def context_length(self, variant: Variant, concurrency: int) -> int:
        """The default: tokens for each of ``concurrency`` requests."""
        return min(
            memory.default_context_length(
                variant.context_length, concurrency, size, self.free_bytes[device]
            )
            for device, size in self.token_bytes.items()
        )

    def check(self, cells: int) -> None:
        """Raises ModelLoadError if a cache of ``cells`` tokens does not fit."""
        for device, size in self.token_bytes.items():
            free = self.free_bytes[device]
            if cells * size > free:
                raise ModelLoadError(
                    f"The KV cache of {cells} tokens takes {cells * size / GIB:.1f} GiB on "
                    f"{device}, where {max(0, free) / GIB:.1f} GiB are left beside the weights. "
                    "Lower context_length or max_concurrency."
                )
