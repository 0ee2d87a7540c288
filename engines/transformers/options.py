"""The Transformers engine's own settings."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from codeserve.engines.errors import ModelLoadError

Positive = Annotated[int, msgspec.Meta(ge=1)]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Annotated[str, msgspec.Meta(pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")]


class TransformersOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[models.options]`` of a model on Transformers."""

    dtype: Dtype = "auto"
    """Number type of the weights and of what is computed. "auto": on a GPU the checkpoint's own;
    on a CPU bfloat16 for a bfloat16 checkpoint where the CPU computes in it, else float32; float16
    for GPTQ and AWQ checkpoints."""
    device: Device = "auto"
    """"cpu", "cuda", "cuda:1" or "mps". "auto": the first GPU, and the CPU if there is none."""
    device_map: Literal["auto", "balanced"] | dict[str, int | str] | None = None
    """Spread the layers over several GPUs, as accelerate does: by free memory, or by a table from
    module names to devices."""
    kv_dtype: Dtype = "auto"
    """Number type of keys and values in the cache. "auto": that of the model."""
    n_threads: Positive | None = None
    """Threads of a step on the CPU. None: the physical cores that the process may use."""
    n_batch: Positive = 256
    """The most tokens of one step. A step is what a running stream waits for beside a long prompt,
    and what a cancelled request may still take."""
    draft: bool = True
    """Verify likely next tokens along with the last one, where that pays. The chosen tokens are
    the same, up to the rounding of different batch shapes."""
    cache_host_mib: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Host memory for prefixes that had to leave the KV cache. None: a quarter of what is free
    once the weights are loaded, at most 8 GiB."""
    cache_disk: str | None = None
    """A folder where such prefixes are kept for the next start."""
    cache_disk_mib: Positive = 10_240
    """The most that ``cache_disk`` may take."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "TransformersOptions":
        """The options, checked. Raises ModelLoadError that names the valid ones."""
        try:
            given = msgspec.convert(dict(options), cls)
        except msgspec.ValidationError as error:
            valid = ", ".join(cls.__struct_fields__)
            raise ModelLoadError(
                f"Options of transformers: {error}. Valid options: {valid}."
            ) from error
        if given.device_map is not None and given.device != "auto":
            raise ModelLoadError(
                "Options of transformers: device and device_map both say where the model goes; "
                "give one of them."
            )
        return given
