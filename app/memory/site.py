"""Which GPUs a worker will use, as far as that can be told before it runs."""

import os
from collections.abc import Sequence

from codeserve.app.manager.machine import visible_gpus
from codeserve.app.manager.placement import GPU_ENGINES
from codeserve.app.memory.gpus import GpuMemory
from codeserve.app.model_settings import ModelSettings

VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus_of(settings: ModelSettings, engine: str, there: Sequence[GpuMemory]) -> tuple[int, ...]:
    """The GPUs of the first replica among those that are ``there``; none: it is on the CPU."""
    if engine not in GPU_ENGINES or _is_on_cpu(settings):
        return ()
    visible = visible_gpus(len(there), os.environ.get(VISIBLE))
    allowed = visible if settings.gpu_idx is None else settings.gpu_idx
    known = {gpu.index for gpu in there}
    usable = tuple(index for index in allowed if index in known)
    return usable[: _count(settings, engine, len(usable))]


def _is_on_cpu(settings: ModelSettings) -> bool:
    options = settings.options
    return (
        settings.n_gpu == 0
        or options.get("n_gpu_layers") == 0
        or options.get("device") in ("cpu", "mps")
    )


def _count(settings: ModelSettings, engine: str, usable: int) -> int:
    """GPUs of one worker."""
    options = settings.options
    if isinstance(settings.n_gpu, int):
        return settings.n_gpu
    if settings.gpu_idx is not None:
        return usable // settings.replica
    if engine == "vllm":
        sizes = (options.get("tensor_parallel_size"), options.get("pipeline_parallel_size"))
        tensor, pipeline = (size if isinstance(size, int) else 1 for size in sizes)
        return tensor * pipeline
    if settings.replica > 1:
        return 1
    spreads = options.get("split_mode", "layer") != "none" and engine == "llama.cpp"
    return usable if spreads or options.get("device_map") else 1
