"""llama.cpp's own settings, under its own names."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import llama_cpp
import msgspec

from codeserve.engines.errors import ModelLoadError

if TYPE_CHECKING:
    from codeserve.engines.llama_cpp.tuning import Tuning

Positive = Annotated[int, msgspec.Meta(ge=1)]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "iq4_nl", "q4_1", "q4_0"]
FlashAttention = Literal["auto", "on", "off"]

BF16 = 30
"""``GGML_TYPE_BF16``, which llama_cpp has no name for."""


def ggml_type(kind: CacheType | None) -> int:
    """The number of ``kind`` in ``enum ggml_type``; None is f16."""
    number: int = getattr(llama_cpp, f"GGML_TYPE_{(kind or 'f16').upper()}", BF16)
    return number


class LlamaCppOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[models.options]`` of a model on llama.cpp.

    What is None, or "auto", is decided by measurement where ``tune`` is true; see ``settled``.
    """

    n_gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    """Layers on the GPU; -1 is all. None: all if this build has GPU support, else 0."""
    main_gpu: int = 0
    """The GPU that holds everything if ``split_mode`` is ``none``."""
    split_mode: Literal["none", "layer", "row"] = "layer"
    """How to spread a model over several GPUs."""
    tensor_split: tuple[float, ...] = ()
    """Share of the model for each GPU; empty: by their free memory."""
    n_threads: Positive | None = None
    """Threads of a step of one token. None: measured, else the physical cores that the process
    may use."""
    n_threads_batch: Positive | None = None
    """Threads of a larger step. None: as ``n_threads`` where that is given, else measured."""
    n_batch: Positive = 256
    """The most tokens of one step. A step is what a running stream waits for beside a long prompt,
    and what a cancelled request may still take."""
    n_ubatch: Positive | None = None
    """The most tokens that are computed at a time. None: measured, else as ``n_batch``."""
    flash_attn: FlashAttention = "auto"
    """Flash attention. "auto": measured, else llama.cpp decides."""
    type_k: CacheType | None = None
    """Number type of the keys in the cache. None: f16, or bf16 if it was measured to be faster."""
    type_v: CacheType | None = None
    """Number type of the values in the cache; quantised ones need flash attention."""
    repack: bool | None = None
    """Let llama.cpp reorder the weights for kernels such as AMX's. None: measured, else true."""
    use_mmap: bool | None = None
    """Map the file into memory instead of reading it. None: llama.cpp decides."""
    use_mlock: bool = False
    """Keep the weights from being swapped out."""
    offload_kqv: bool = True
    """Keep the KV cache on the GPU."""
    draft: bool = True
    """Verify likely next tokens along with the last one, where that pays. The chosen tokens are
    the same, up to the rounding of different batch shapes."""
    draft_model: str | None = None
    """A small GGUF file of the same vocabulary, such as the 1.3B model for the 33B one, that
    guesses likely next tokens where the text itself does not tell them."""
    cache_host_mib: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Host memory for prefixes that had to leave the KV cache. None: a quarter of what is free
    once the weights are loaded, at most 8 GiB."""
    cache_disk: str | None = None
    """A folder where such prefixes are kept for the next start."""
    cache_disk_mib: Annotated[int, msgspec.Meta(ge=1)] = 10_240
    """The most that ``cache_disk`` may take."""
    deterministic: bool = False
    """Compute each request alone, in batches of fixed shape: the same request gives the same bits
    whatever else runs. Slower: no batching, drafting or prefix cache."""
    tune: bool = True
    """Measure what is fastest at a model's first load on this machine. False: static defaults."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "LlamaCppOptions":
        """The options, checked. Raises ModelLoadError that names the valid ones."""
        try:
            given = msgspec.convert(dict(options), cls)
        except msgspec.ValidationError as error:
            valid = ", ".join(cls.__struct_fields__)
            raise ModelLoadError(
                f"Options of llama.cpp: {error}. Valid options: {valid}."
            ) from error
        has_gpu = llama_cpp.llama_supports_gpu_offload()
        if given.n_gpu_layers and not has_gpu:
            raise ModelLoadError(
                f"n_gpu_layers is {given.n_gpu_layers}, but this build of llama.cpp has no GPU "
                "support or finds no GPU. Install a build with CUDA, Metal, Vulkan or ROCm, or "
                "leave n_gpu_layers out to run on the CPU."
            )
        if given.n_gpu_layers is not None:
            return given
        return msgspec.structs.replace(given, n_gpu_layers=-1 if has_gpu else 0)

    def settled(self, tuning: "Tuning") -> "LlamaCppOptions":
        """The options, every None decided by ``tuning``; what was given stays."""
        n_threads = self.n_threads or tuning.n_threads
        return msgspec.structs.replace(
            self,
            n_threads=n_threads,
            n_threads_batch=self.n_threads_batch or self.n_threads or tuning.n_threads_batch,
            n_ubatch=min(self.n_ubatch or tuning.n_ubatch, self.n_batch),
            flash_attn=tuning.flash_attn if self.flash_attn == "auto" else self.flash_attn,
            type_k=self.type_k or tuning.type_k,
            type_v=self.type_v or tuning.type_v,
            repack=tuning.repack if self.repack is None else self.repack,
        )
