"""How long a step of a loaded model takes."""

import ctypes
import time

import llama_cpp

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions, ggml_type
from codeserve.engines.llama_cpp.weights import Weights

FILLING = 8
"""Tokens that are computed once and copied until the cache is as full as wanted."""
SEQUENCES = 8
"""Among which the rows of a decoding step are spread; a prompt belongs to the first."""
DEPTH = 256
"""Tokens of each sequence: what its rows attend to. Those of the others are looked at, too."""
MOST_ROWS = 32
"""A batch of at most so many tokens is decoding or drafting: each token wants its logits. A larger
one is a prompt, which wants those of its last token."""
COPY = SEQUENCES


class Probe:
    """A context of its own in which steps of any size are timed; to be closed once."""

    def __init__(
        self, weights: Weights, settings: LlamaCppOptions, largest: int, log: LlamaLog
    ) -> None:
        """``largest``: the most tokens of a step. ``settings``: decided. Raises ModelLoadError."""
        largest = max(largest, FILLING)
        log.clear()
        params = _context_params(settings, largest)
        self._pointer = llama_cpp.llama_init_from_model(weights.pointer, params)
        if not self._pointer:
            cause = log.first_error or "llama.cpp gives no reason"
            raise ModelLoadError(f"No context could be made to measure in: {cause}.")
        self._batch = llama_cpp.llama_batch_init(largest, 0, 1)
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._vocabulary_size = weights.vocabulary.size
        self._fill()

    def close(self) -> None:
        """Free the memory."""
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(pointer)

    def use_threads(self, one: int, many: int) -> None:
        """Compute steps of one token with ``one`` thread, others with ``many``."""
        llama_cpp.llama_set_n_threads(self._pointer, one, many)

    def milliseconds(self, tokens: int) -> float:
        """Compute a step of so many tokens; leaves the cache as it was."""
        self._prepare(tokens, FILLING)
        started = time.perf_counter()
        self._decode()
        ended = time.perf_counter()
        for sequence in range(SEQUENCES):
            llama_cpp.llama_memory_seq_rm(self._memory, sequence, FILLING, -1)
        return (ended - started) * 1000

    def _prepare(self, tokens: int, start: int) -> None:
        batch = self._batch
        batch.n_tokens = tokens
        decodes = start > 0 and tokens <= MOST_ROWS
        sequences = SEQUENCES if decodes else 1
        for index in range(tokens):
            batch.token[index] = (start + index) % self._vocabulary_size
            batch.pos[index] = start + index // sequences
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = index % sequences
            batch.logits[index] = decodes or index == tokens - 1

    def _decode(self) -> None:
        code = llama_cpp.llama_decode(self._pointer, self._batch)
        if code != 0:
            raise ModelLoadError(f"llama.cpp could not compute a step to measure: error {code}.")
        llama_cpp.llama_synchronize(self._pointer)

    def _fill(self) -> None:
        """Fill the cache with copies of a few computed tokens: as slow to attend to as a prompt."""
        self._prepare(FILLING, 0)
        self._decode()
        size = llama_cpp.llama_state_seq_get_size(self._pointer, 0)
        state = (ctypes.c_uint8 * size)()
        llama_cpp.llama_state_seq_get_data(self._pointer, state, size, 0)
        llama_cpp.llama_memory_seq_rm(self._memory, 0, -1, -1)
        for copy in range(SEQUENCES * DEPTH // FILLING):
            llama_cpp.llama_state_seq_set_data(self._pointer, state, size, COPY)
            llama_cpp.llama_memory_seq_cp(self._memory, COPY, copy % SEQUENCES, -1, -1)
            llama_cpp.llama_memory_seq_rm(self._memory, COPY, -1, -1)


def _context_params(settings: LlamaCppOptions, largest: int) -> "llama_cpp.llama_context_params":
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = SEQUENCES * DEPTH + largest
    params.n_seq_max = COPY + 1
    params.kv_unified = True
    params.n_outputs_max = MOST_ROWS
    params.n_batch = largest
    params.n_ubatch = min(settings.n_ubatch or largest, largest)
    params.n_threads = settings.n_threads
    params.n_threads_batch = settings.n_threads_batch
    flash_attention = {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}[settings.flash_attn]
    params.flash_attn_type = getattr(llama_cpp, f"LLAMA_FLASH_ATTN_TYPE_{flash_attention}")
    params.type_k = ggml_type(settings.type_k)
    params.type_v = ggml_type(settings.type_v)
    params.offload_kqv = settings.offload_kqv
    return params
