"""The settings that are fastest for one file on this machine: remembered, or measured now."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from codeserve.engines.base import Progress
from codeserve.engines.cores import usable_cores
from codeserve.engines.llama_cpp import remembered
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import CacheType, FlashAttention, LlamaCppOptions


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value of one option that was measured."""

    option: str
    value: str
    cost: float
    """Time of its steps as a multiple of that of the chosen value's (geometric mean). Below 1: it
    was faster, but not by enough to leave the default."""
    chosen: bool


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured to be fastest for one file on this machine."""

    n_threads: int
    n_threads_batch: int
    flash_attn: FlashAttention
    """"auto", where nothing was measured: llama.cpp decides."""
    type_k: CacheType
    type_v: CacheType
    n_ubatch: int
    repack: bool
    step_ms: tuple[tuple[int, float], ...] = ()
    """Tokens of a step and its median time in milliseconds, by size; empty if nothing was
    measured. Up to 32 tokens each one's logits are computed, beyond that the last one's."""
    trials: tuple[Trial, ...] = ()
    skipped: tuple[str, ...] = ()
    """What could not be measured, and why: a sentence each."""
    busy: bool = False
    """Whether other processes took the cores away meanwhile."""
    seconds: float = 0.0
    """How long it took."""
    measured_at: datetime | None = None

    @classmethod
    def static(cls, options: LlamaCppOptions) -> "Tuning":
        """What ``options`` say and, where they do not, the defaults."""
        n_threads = options.n_threads or usable_cores()
        return cls(
            n_threads=n_threads,
            n_threads_batch=options.n_threads_batch or n_threads,
            flash_attn=options.flash_attn,
            type_k=options.type_k or "f16",
            type_v=options.type_v or "f16",
            n_ubatch=min(options.n_ubatch or options.n_batch, options.n_batch),
            repack=options.repack is not False,
        )


def tune(
    path: Path, options: LlamaCppOptions, overrides: Any, progress: Progress, log: LlamaLog
) -> Tuning:
    """The tuning of ``path``: static if ``options`` want none, remembered, or measured now.

    ``overrides``: a ``llama_model_kv_override`` array, as for ``Weights.load``. Raises
    ModelLoadError if the file cannot be loaded.
    """
    if not options.tune:
        return Tuning.static(options)
    subject = remembered.Subject.of(path, options)
    known = remembered.recall(subject, Tuning)
    return known or measure(path, options, overrides, progress, log)


def measure(
    path: Path, options: LlamaCppOptions, overrides: Any, progress: Progress, log: LlamaLog
) -> Tuning:
    """Measure now, whatever is remembered, and remember it. Raises ModelLoadError."""
    from codeserve.engines.llama_cpp.tuner import Tuner

    tuning = Tuner(path, options, overrides, progress, log).run()
    remembered.keep(remembered.Subject.of(path, options), path, tuning)
    return tuning
