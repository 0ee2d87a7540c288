"""llama.cpp's own settings, under its own names."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import llama_cpp
import msgspec

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp.cores import usable_cores

Positive = Annotated[int, msgspec.Meta(ge=1)]
CacheType = Literal["f32", "f16", "q8_0", "q5_1", "q5_0", "iq4_nl", "q4_1", "q4_0"]


class LlamaCppOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[models.options]`` of a model on llama.cpp."""

    n_gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    """Layers on the GPU; -1 is all. None: all if this build has GPU support, else 0."""
    main_gpu: int = 0
    """The GPU that holds everything if ``split_mode`` is ``none``."""
    split_mode: Literal["none", "layer", "row"] = "layer"
    """How to spread a model over several GPUs."""
    tensor_split: tuple[float, ...] = ()
    """Share of the model for each GPU; empty: by their free memory."""
    n_threads: Positive | None = None
    """Threads of a decode step. None: the physical cores that the process may use."""
    n_threads_batch: Positive | None = None
    """Threads of a step that computes a prompt. None: as ``n_threads``."""
    n_batch: Positive = 256
    """The most tokens of one step. A step is what a running stream waits for beside a long prompt,
    and what a cancelled request may still take."""
    n_ubatch: Positive | None = None
    """The most tokens that are computed at a time. None: as ``n_batch``."""
    flash_attn: Literal["auto", "on", "off"] = "auto"
    """Flash attention."""
    type_k: CacheType = "f16"
    """Number type of the keys in the cache."""
    type_v: CacheType = "f16"
    """Number type of the values in the cache; quantised ones need flash attention."""
    use_mmap: bool | None = None
    """Map the file into memory instead of reading it. None: llama.cpp decides."""
    use_mlock: bool = False
    """Keep the weights from being swapped out."""
    offload_kqv: bool = True
    """Keep the KV cache on the GPU."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "LlamaCppOptions":
        """The options, every None decided. Raises ModelLoadError that names the valid ones."""
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
        n_threads = given.n_threads or usable_cores()
        return msgspec.structs.replace(
            given,
            n_gpu_layers=(-1 if has_gpu else 0)
            if given.n_gpu_layers is None
            else given.n_gpu_layers,
            n_threads=n_threads,
            n_threads_batch=given.n_threads_batch or n_threads,
            n_ubatch=min(given.n_ubatch or given.n_batch, given.n_batch),
        )
