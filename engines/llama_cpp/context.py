"""llama.cpp's working state: the KV cache and the buffers of a step."""

import llama_cpp

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


class Context:
    """One cache for all sequences, which share its cells; to be closed once."""

    def __init__(
        self,
        weights: Weights,
        slots: int,
        context_length: int,
        options: LlamaCppOptions,
        log: LlamaLog,
    ) -> None:
        """Room for ``slots`` sequences of ``context_length`` tokens. Raises ModelLoadError."""
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = slots * context_length
        params.n_seq_max = slots
        params.kv_unified = True
        params.n_outputs_max = slots
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
                f"No context of {slots} times {context_length} tokens could be made: {cause}. "
                "A smaller context_length or max_concurrency needs less memory."
            )
        self._memory = llama_cpp.llama_get_memory(self.pointer)

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

    def forget(self, slot: int) -> None:
        """Free the cells of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)


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
