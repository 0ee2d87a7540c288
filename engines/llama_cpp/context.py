"""llama.cpp's working state: the KV cache and the buffers of a step."""

import ctypes
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np

from codeserve.engines.errors import EngineFailure, ModelLoadError
from codeserve.engines.llama_cpp.batch import Batch
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions, ggml_type
from codeserve.engines.llama_cpp.weights import Weights

FLASH_ATTENTION = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


@dataclass(frozen=True, slots=True)
class Room:
    """How much a context can hold at once."""

    cells: int
    """Tokens of all sequences together."""
    slots: int
    """Sequences."""
    unified: bool
    """Whether all slots draw on the same cells and can share them; if not, each has its part."""


class Context:
    """The KV cache of all sequences, to be closed once."""

    def __init__(
        self, weights: Weights, room: Room, options: LlamaCppOptions, log: LlamaLog
    ) -> None:
        """Raises ModelLoadError."""
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = room.cells
        params.n_seq_max = room.slots
        params.kv_unified = room.unified
        params.n_outputs_max = self.sampled_rows = max(room.slots, min(options.n_batch, 64))
        params.n_batch = options.n_batch
        params.n_ubatch = options.n_ubatch
        params.n_threads = options.n_threads
        params.n_threads_batch = options.n_threads_batch
        params.flash_attn_type = FLASH_ATTENTION[options.flash_attn]
        params.type_k = ggml_type(options.type_k)
        params.type_v = ggml_type(options.type_v)
        params.offload_kqv = options.offload_kqv
        log.clear()
        self.pointer = llama_cpp.llama_init_from_model(weights.pointer, params)
        if not self.pointer:
            cause = log.first_error or "llama.cpp gives no reason"
            raise ModelLoadError(
                f"No context of {room.cells} tokens could be made: {cause}. "
                "A smaller context_length or max_concurrency needs less memory."
            )
        self._memory = llama_cpp.llama_get_memory(self.pointer)
        self._vocab_size = weights.vocabulary.size

    def close(self) -> None:
        """Free the memory."""
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            llama_cpp.llama_free(pointer)

    def decode(self, batch: Batch) -> None:
        """Compute ``batch``. Raises EngineFailure."""
        code = llama_cpp.llama_decode(self.pointer, batch.struct)
        if code != 0:
            raise EngineFailure(f"llama.cpp could not compute a step: {_meaning(code)}.")

    def logits(self, rows: int) -> Any:
        """The last batch's logits, ``rows`` by vocabulary, in the order of the batch; llama.cpp's
        own memory, valid until the next batch."""
        pointer = llama_cpp.llama_get_logits(self.pointer)
        return np.ctypeslib.as_array(pointer, shape=(rows, self._vocab_size))

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` from ``start`` to ``end``."""
        llama_cpp.llama_memory_seq_rm(self._memory, target, start, end)
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, start, end)

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, length, -1)

    def save(self, slot: int) -> bytes:
        """A copy of all keys and values of ``slot``."""
        size = llama_cpp.llama_state_seq_get_size(self.pointer, slot)
        data = bytearray(size)
        array = (ctypes.c_uint8 * size).from_buffer(data)
        llama_cpp.llama_state_seq_get_data(self.pointer, array, size, slot)
        return bytes(data)

    def restore(self, slot: int, data: bytes) -> bool:
        """Fill ``slot`` with what ``save`` gave; False if it does not fit this context."""
        pointer = ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
        read = llama_cpp.llama_state_seq_set_data(self.pointer, pointer, len(data), slot)
        return bool(read)


def _meaning(code: int) -> str:
    match code:
        case 1:
            return "the KV cache is full"
        case 2:
            return "it was aborted"
        case -1:
            return "the batch is invalid"
        case _:
            return f"fatal error {code}"
