"""The keys and values of all slots, as tensors."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

import torch

from codeserve.engines.transformers.cell_map import CellMap, Run
from codeserve.engines.transformers.probe import LayerShape

Pair = tuple[Any, Any]
"""Keys and values, by head, cell and size."""

POSITION = Struct("<q")
"""Of the first token of what is saved."""


class KvCache:
    """Keys and values of every layer, each on that layer's device, in cells that slots share."""

    def __init__(self, layers: Sequence[LayerShape], cells: int, slots: int, dtype: Any) -> None:
        """``dtype``: the number type of keys and values."""
        self.cells = CellMap(cells, slots)
        self.dtype = dtype
        self._layers: list[Pair] = [
            (
                torch.empty(s.kv_heads, cells, s.key_size, device=s.device, dtype=dtype),
                torch.empty(s.kv_heads, cells, s.value_size, device=s.device, dtype=dtype),
            )
            for s in layers
        ]
        self._token_bytes = sum(shape.numbers for shape in layers) * dtype.itemsize

    def write(self, layer: int, index: Any, key: Any, value: Any) -> None:
        """Put keys and values of tokens, by head, token and size, into the cells of ``index``."""
        keys, values = self._layers[layer]
        keys.index_copy_(1, index, key.to(self.dtype))
        values.index_copy_(1, index, value.to(self.dtype))

    def read(self, layer: int, runs: Sequence[Run]) -> Pair:
        """Keys and values of ``runs``; a view where that is one run."""
        keys, values = self._layers[layer]
        return _narrow(keys, runs), _narrow(values, runs)

    def gather(self, layer: int, index: Any) -> Pair:
        """Keys and values of many slots, by slot, head, cell and size; ``index`` is by slot and
        cell."""
        keys, values = self._layers[layer]
        return _pick(keys, index), _pick(values, index)

    def save(self, slot: int, start: int, end: int) -> bytes:
        """A copy of the keys and values of ``slot`` from ``start`` to ``end``."""
        runs = self.cells.cut(slot, start, end)
        tensors = [_narrow(tensor, runs) for pair in self._layers for tensor in pair]
        flat = torch.cat([tensor.reshape(-1).cpu() for tensor in tensors])
        numbers: bytes = flat.view(torch.uint8).numpy().tobytes()
        return POSITION.pack(start) + numbers

    def restore(self, slot: int, data: bytes) -> bool:
        """Put what ``save`` gave into the empty ``slot``; False if the data does not fit."""
        tokens, rest = divmod(len(data) - POSITION.size, self._token_bytes)
        if rest or tokens < 1:
            return False
        numbers = torch.frombuffer(bytearray(data[POSITION.size :]), dtype=self.dtype)
        self.cells.begin(slot, *POSITION.unpack_from(data))
        cells = index_of(self.cells.append(slot, tokens))
        at = 0
        for pair in self._layers:
            for tensor in pair:
                heads, _, size = tensor.shape
                part = numbers[at : at + heads * tokens * size].view(heads, tokens, size)
                tensor.index_copy_(1, cells.to(tensor.device), part.to(tensor.device))
                at += part.numel()
        return True


def index_of(runs: Iterable[Run]) -> Any:
    """The numbers of the cells of ``runs``."""
    return torch.cat([torch.arange(run.start, run.end) for run in runs])


def _narrow(tensor: Any, runs: Sequence[Run]) -> Any:
    if len(runs) == 1:
        return tensor[:, runs[0].start : runs[0].end]
    return torch.cat([tensor[:, run.start : run.end] for run in runs], dim=1)


def _pick(tensor: Any, index: Any) -> Any:
    return tensor[:, index].transpose(0, 1)
