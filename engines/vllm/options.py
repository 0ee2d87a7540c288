"""vLLM's own settings, under its own names."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from vllm.engine.arg_utils import AsyncEngineArgs

from codeserve.engines.errors import ModelLoadError

INSTEAD = {
    "model": "path",
    "tokenizer": "path; the tokenizer is read from the folder of the weights",
    "max_num_seqs": "max_concurrency",
    "max_num_queued_reqs": "max_waiting",
    "served_model_name": "id",
    "scheduling_policy": "priority in a request",
    "stream_interval": "nothing: every token is sent as it comes",
}
"""What to set in a model's table instead of an option."""
OURS = {
    "additional_config",
    "async_scheduling",
    "config_format",
    "convert",
    "disable_log_stats",
    "enable_log_requests",
    "enable_prompt_embeds",
    "generation_config",
    "hf_config_path",
    "logits_processors",
    "logprobs_mode",
    "max_logprobs",
    "override_generation_config",
    "reasoning_config",
    "reasoning_parser",
    "return_sampling_mask",
    "runner",
    "skip_tokenizer_init",
    "structured_outputs_config",
    "tokenizer_mode",
    "tokenizer_revision",
    "watermark_config",
    "worker_extension_cls",
}
"""What this engine decides, so that it behaves as the others do."""


class VllmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[models.options]`` of a model on vLLM: these, and other fields of ``AsyncEngineArgs``."""

    device: str | None = None
    """``cpu``, ``cuda``, ``rocm`` or ``xpu``: loading fails where vLLM would run on another one.
    None: the one that this vLLM was built for."""
    omp_threads_bind: str | None = None
    """Cores of vLLM's threads on a CPU, such as ``0-7``; for several workers ``0-7|8-15``. None:
    ``VLLM_CPU_OMP_THREADS_BIND``, else every core that the process may use."""
    engine_args: Mapping[str, Any] = {}
    """The fields of ``AsyncEngineArgs`` that were given, by name."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "VllmOptions":
        """The options, checked. Raises ModelLoadError that says what is valid."""
        own = {name: value for name, value in options.items() if name in OWN}
        given = {name: value for name, value in options.items() if name not in OWN}
        for name, value in own.items():
            if not isinstance(value, str):
                raise _wrong(name, f"it must be a text, not {value!r}")
        hints = _hints()
        checked = {name: _checked(name, value, hints) for name, value in given.items()}
        return cls(**own, engine_args=checked)


OWN = tuple(name for name in VllmOptions.__struct_fields__ if name != "engine_args")


def _hints() -> Mapping[str, Any]:
    """The types of the fields that may be set; Any for the few that vLLM does not resolve."""
    return {
        field.name: Any if isinstance(field.type, str) else field.type
        for field in fields(AsyncEngineArgs)
        if field.name not in OURS | set(INSTEAD) and not field.name.startswith("_")
    }


def _checked(name: str, value: Any, hints: Mapping[str, Any]) -> Any:
    if name in INSTEAD:
        raise _wrong(name, f"set {INSTEAD[name]} instead")
    if name in OURS:
        raise _wrong(name, "codeserve sets it itself")
    if name not in hints:
        valid = sorted({*hints, *OWN})
        near = difflib.get_close_matches(name, valid, 3)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ModelLoadError(
            f"vLLM has no option {name!r}. {hint}Valid are device, omp_threads_bind and the "
            "fields of vLLM's AsyncEngineArgs, such as tensor_parallel_size, "
            "gpu_memory_utilization, max_model_len, dtype and enforce_eager; docs/vllm.md has more."
        )
    try:
        adapter = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return value
    try:
        adapter.validate_python(value, strict=not isinstance(value, list | dict))
    except ValidationError as error:
        if isinstance(value, dict):
            return value  # vLLM makes its own settings of it, and says what is wrong with them
        raise _wrong(name, f"{_reason(error)}; it is {value!r}") from error
    return value


def _reason(error: ValidationError) -> str:
    """What each of the allowed types would need, in one line."""
    reasons = dict.fromkeys(fault["msg"] for fault in error.errors())
    return " or ".join(reasons).replace("Input should", "it should")


def _wrong(name: str, reason: str) -> ModelLoadError:
    return ModelLoadError(f"Options of vLLM: {name}: {reason}.")
