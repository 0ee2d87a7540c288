"""The tokens of one step, as llama.cpp takes them."""

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np

from codeserve.engines.batching.step_backend import Chunk, rows_of


class Batch:
    """Arrays for up to ``capacity`` tokens, allocated once and filled for each step."""

    def __init__(self, capacity: int) -> None:
        """``capacity``: the most tokens of one step."""
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._slots = np.zeros(capacity, np.int32)
        self._wants_logits = np.zeros(capacity, np.int8)
        self._one_each = np.ones(capacity, np.int32)
        addresses = self._slots.ctypes.data + np.arange(capacity, dtype=np.uintp) * 4
        self._slot_pointers = addresses.astype(np.uintp)
        self.struct = llama_cpp.llama_batch(
            n_tokens=0,
            token=_pointer(self._tokens, llama_cpp.llama_token),
            embd=None,
            pos=_pointer(self._positions, llama_cpp.llama_pos),
            n_seq_id=_pointer(self._one_each, ctypes.c_int32),
            seq_id=_pointer(self._slot_pointers, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_pointer(self._wants_logits, ctypes.c_int8),
        )
        """The ``llama_batch``; it points into this object's arrays."""

    def fill(self, chunks: Sequence[Chunk]) -> int:
        """Take the tokens of ``chunks``; return how many rows of logits they want."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        wanted: list[int] = []
        for chunk in chunks:
            count = len(chunk.token_ids)
            tokens += chunk.token_ids
            positions += range(chunk.start, chunk.start + count)
            slots += [chunk.slot] * count
            wanted += range(len(tokens) - rows_of(chunk), len(tokens))
        end = len(tokens)
        self._tokens[:end] = tokens
        self._positions[:end] = positions
        self._slots[:end] = slots
        self._wants_logits[:end] = 0
        self._wants_logits[wanted] = 1
        self.struct.n_tokens = end
        return len(wanted)


def _pointer(array: Any, item: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(item))
