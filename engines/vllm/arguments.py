"""What vLLM is started with."""

import os
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint import vllm as footprint
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.memory import available_bytes
from codeserve.engines.types import EngineConfig
from codeserve.engines.vllm import memory
from codeserve.engines.vllm.options import VllmOptions
from codeserve.engines.vllm.processors import Setup
from codeserve.model_specs.spec import Variant

PROCESSORS = "codeserve.engines.vllm.processors"
GPU_OPTIONS = ("device_ids", "cpu_offload_gb")
"""Options that mean nothing without a GPU."""
BF16_CAPABILITY = 80
"""NVIDIA's cards from here on compute in bfloat16."""


def engine_args(
    config: EngineConfig, folder: Folder, variant: Variant, options: VllmOptions
) -> AsyncEngineArgs:
    """All settings of one engine. Raises ModelLoadError."""
    given = dict(options.engine_args)
    device = check_device(options)
    _check_quantization(config)
    asked = _context_length(config, folder, variant, given)
    dtype = given.pop("dtype", "auto")
    settled = _dtype(folder) if dtype == "auto" else dtype
    sizes = _cpu_sizes(config, folder, given, asked, settled) if device == "cpu" else {}
    length = sizes.pop("max_model_len", asked or folder.trained_context_length)
    setup = Setup(str(folder.path), variant, folder.vocabulary.size)
    ours = {
        "model": str(folder.path),
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "dtype": settled,
        "max_model_len": length,
        "max_num_seqs": config.max_concurrency,
        "scheduling_policy": "priority",
        "max_logprobs": -1,
        "logprobs_mode": "raw_logprobs",
        "disable_log_stats": True,
        "enable_log_requests": False,
        "additional_config": setup.packed,
        **sizes,
        **_processors(given),
    }
    defaults = {
        "seed": secrets.randbits(31),
        "enable_prefix_caching": True,
        "enforce_eager": device == "cpu",
    }
    return AsyncEngineArgs(**{**defaults, **given, **ours})


def set_environment(options: VllmOptions) -> None:
    """vLLM's environment variables, where the user has not set them.

    Its processors for single requests need the first model runner, and its children must be
    started anew, so that each of them ends with its parent.
    """
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    workers = _workers(options.engine_args)
    if options.omp_threads_bind is not None:
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = options.omp_threads_bind
    elif workers == 1:
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", memory.cores())


def check_device(options: VllmOptions) -> str:
    """The kind of device that vLLM will run on. Raises ModelLoadError if it is not as asked."""
    found = str(current_platform.device_type) or "none"
    wanted = options.device
    if current_platform.is_unspecified() or found == "none":
        raise ModelLoadError(
            "vLLM finds no device that this build of it can use. On a machine without a GPU, "
            "install its CPU build: codeserve engines install vllm."
        )
    kinds = {found, str(current_platform.device_name)}
    if wanted is not None and wanted not in kinds:
        raise ModelLoadError(
            f"device is {wanted!r}, but vLLM runs on {found!r} here: there is no such device, or "
            f"this vLLM was built for another. Set device to {found!r} or leave it out."
        )
    needs_gpu = [name for name in GPU_OPTIONS if options.engine_args.get(name)]
    if found == "cpu" and needs_gpu:
        raise ModelLoadError(f"Options of vLLM: {needs_gpu[0]} needs a GPU, and there is none.")
    return found


def _context_length(
    config: EngineConfig, folder: Folder, variant: Variant, given: dict[str, Any]
) -> int | None:
    """The asked context length; vLLM's own name for it does as well."""
    named = given.pop("max_model_len", None)
    if named is not None and config.context_length not in (None, named):
        raise ModelLoadError(
            f"context_length is {config.context_length}, but options.max_model_len is {named}: "
            "they mean the same, so set one."
        )
    if named is None:
        return folder.context_length(config, variant)
    return folder.context_length(msgspec.structs.replace(config, context_length=named), variant)


def _dtype(folder: Folder) -> str:
    """The type to compute in: that of the weights, as far as the device and the kernels go."""
    method = None if folder.quantization is None else folder.quantization.method
    if method in footprint.HALF_METHODS:
        return "float16"
    own = folder.dtype or "auto"
    if own == "bfloat16" and current_platform.is_cuda():
        return "bfloat16" if current_platform.has_device_capability(BF16_CAPABILITY) else "float16"
    return own


def _cpu_sizes(
    config: EngineConfig,
    folder: Folder,
    given: Mapping[str, Any],
    asked: int | None,
    dtype: str,
) -> dict[str, int]:
    """Context length and KV cache for a CPU, where the user has not sized the cache."""
    per_token = footprint.token_bytes(folder.config, dtype)
    sized = ("kv_cache_memory_bytes", "gpu_memory_utilization")
    if os.environ.get("VLLM_CPU_KVCACHE_SPACE") or any(name in given for name in sized):
        return {}
    free = available_bytes() - folder.weights_bytes - footprint.PROCESSES
    length, cache = footprint.fit(
        asked, folder.trained_context_length, config.max_concurrency, per_token, free
    )
    return {"max_model_len": length, "kv_cache_memory_bytes": cache}


def _check_quantization(config: EngineConfig) -> None:
    if config.quantization is not None:
        raise ModelLoadError(
            f"vLLM cannot quantise to {config.quantization} while it loads, because it has no "
            "bitsandbytes. Use the engine transformers, weights that are quantised already (GPTQ, "
            "AWQ), or a method of vLLM's own by its option quantization, such as fp8 on a GPU."
        )


def _processors(given: Mapping[str, Any]) -> dict[str, Any]:
    """Ours; vLLM takes none while it verifies drafts."""
    if given.get("speculative_config"):
        return {}
    return {
        "logits_processors": [
            f"{PROCESSORS}:ConstraintProcessor",
            f"{PROCESSORS}:TruncationProcessor",
        ],
        "worker_extension_cls": f"{PROCESSORS}.WorkerExtension",
    }


def _workers(given: Mapping[str, Any]) -> int:
    return int(given.get("tensor_parallel_size", 1)) * int(given.get("pipeline_parallel_size", 1))
