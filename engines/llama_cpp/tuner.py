"""Finds the fastest settings for a file by measuring; imported only where that is needed."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from codeserve.engines.base import Progress
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import comparison
from codeserve.engines.llama_cpp.comparison import Timer
from codeserve.engines.llama_cpp.interference import Interference
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.measurement import Probe
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuning import Trial, Tuning
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.engines.memory import available_bytes

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256)
"""Tokens of the steps whose time the scheduler is told."""
KERNEL_SIZES, ATTENTION_SIZES, THREAD_SIZES = (1, 4, 32), (1, 8, 32, 128), (4, 32)
CACHE_TYPES = ("f16", "bf16")
"""Types without loss in practice; f32 takes twice the memory."""
UBATCHES = (128, 64)
"""Smaller ``n_ubatch`` that are considered beside ``n_batch``."""

MARGIN, CACHE_TYPE_MARGIN = 0.05, 0.10
"""How much slower a default must be to be left; bf16 keeps fewer digits than f16."""

COMPARISON_SECONDS, CURVE_SECONDS = 1.5, 6.0
"""Time of each comparison and of the curve. A slow model takes a little longer."""

AFFORDABLE = 0.5
"""Share of the available memory up to which a file is loaded once more to compare kernels."""


class Tuner:
    """One measurement of one file."""

    def __init__(
        self,
        path: Path,
        options: LlamaCppOptions,
        overrides: Any,
        progress: Progress,
        log: LlamaLog,
    ) -> None:
        self._path = path
        self._options = options
        self._overrides = overrides
        self._progress = progress
        self._log = log
        self._best = Tuning.static(options)
        self._trials: list[Trial] = []
        self._skipped: list[str] = []
        self._share = path.stat().st_size / available_bytes()
        self._started = time.perf_counter()
        self._interference = Interference()

    def run(self) -> Tuning:
        """Measure; everything is freed at the end. Raises ModelLoadError."""
        if self._share > 1:
            self._skipped.append("Everything: the file is larger than the available memory.")
            return self._finished()
        with self._log.only_errors(), ExitStack() as opened:
            weights = opened.enter_context(closing(self._with_best_kernels()))
            self._report(0.4)
            self._choose_attention(weights)
            self._report(0.6)
            with closing(self._probe(weights, self._best)) as probe:
                self._choose_threads(probe)
                self._report(0.7)
                self._measure_steps(probe)
        return self._finished()

    def _with_best_kernels(self) -> Weights:
        if self._options.repack is not None:
            return self._load(self._best.repack)
        if self._options.n_gpu_layers:
            self._skipped.append("repack: layers are on the GPU.")
            return self._load(self._best.repack)
        if self._share > AFFORDABLE:
            self._skipped.append("repack: the file takes over half of the available memory.")
            return self._load(self._best.repack)
        with closing(self._load(repack=False)) as weights:
            plain = self._kernel_times(weights, repack=False)
        self._report(0.2)
        weights = self._load(repack=True)
        repacked = self._kernel_times(weights, repack=True)
        if self._decide("repack", (True, False), [repacked, plain], MARGIN) == 0:
            return weights
        weights.close()
        self._settle(repack=False)
        return self._load(repack=False)

    def _kernel_times(self, weights: Weights, repack: bool) -> list[float]:
        settings = msgspec.structs.replace(self._best, repack=repack)
        with closing(self._probe(weights, settings)) as probe:
            timers = [probe.milliseconds]
            return comparison.fastest(timers, KERNEL_SIZES, COMPARISON_SECONDS)[0]

    def _choose_attention(self, weights: Weights) -> None:
        if self._options.flash_attn == "auto":
            flash = [msgspec.structs.replace(self._best, flash_attn=it) for it in ("on", "off")]
            self._best = self._better(weights, "flash_attn", flash, MARGIN)
        if self._options.type_k is None and self._options.type_v is None:
            kinds = [msgspec.structs.replace(self._best, type_k=t, type_v=t) for t in CACHE_TYPES]
            self._best = self._better(weights, "type_k", kinds, CACHE_TYPE_MARGIN)

    def _better(
        self, weights: Weights, option: str, candidates: Sequence[Tuning], margin: float
    ) -> Tuning:
        """The best of ``candidates``, which differ in ``option``; those that fail are skipped."""
        with ExitStack() as opened:
            able, timers = [], list[Timer]()
            for candidate in candidates:
                try:
                    probe = opened.enter_context(closing(self._probe(weights, candidate)))
                except ModelLoadError as error:
                    value = getattr(candidate, option)
                    self._skipped.append(f"{option} = {value}: {error.message}")
                    continue
                able.append(candidate)
                timers.append(probe.milliseconds)
            if not able:
                return self._best
            times = comparison.fastest(timers, ATTENTION_SIZES, COMPARISON_SECONDS)
        values = [getattr(candidate, option) for candidate in able]
        return able[self._decide(option, values, times, margin)]

    def _choose_threads(self, probe: Probe) -> None:
        counts = _thread_counts(self._best.n_threads)
        if self._options.n_threads is not None or len(counts) == 1:
            return
        if self._options.n_gpu_layers:
            self._skipped.append("n_threads: layers are on the GPU.")
            return
        if self._interference.is_busy:
            self._skipped.append("n_threads: other processes were using the cores.")
            return

        def timer(threads: int) -> Timer:
            def milliseconds(tokens: int) -> float:
                probe.use_threads(threads, threads)
                return probe.milliseconds(tokens)

            return milliseconds

        timers = [timer(count) for count in counts]
        one = comparison.fastest(timers, (1,), COMPARISON_SECONDS / 2)
        self._settle(n_threads=counts[self._decide("n_threads", counts, one, MARGIN)])
        if self._options.n_threads_batch is None:
            many = comparison.fastest(timers, THREAD_SIZES, COMPARISON_SECONDS / 2)
            chosen = counts[self._decide("n_threads_batch", counts, many, MARGIN)]
            self._settle(n_threads_batch=chosen)
        probe.use_threads(self._best.n_threads, self._best.n_threads_batch)

    def _measure_steps(self, probe: Probe) -> None:
        """Measure steps of all sizes, and choose ``n_ubatch`` by them."""
        n_batch = self._options.n_batch
        sizes = sorted({*SIZES, n_batch})
        times, largest = comparison.curve(probe.milliseconds, sizes, CURVE_SECONDS)
        if largest < sizes[-1]:
            self._skipped.append(
                f"Steps of more than {largest} tokens: they would take too long; their time is "
                "estimated."
            )
        curve = list(zip(sizes, times, strict=True))
        if self._options.n_ubatch is None:
            parts = [n_batch, *(size for size in UBATCHES if size < n_batch)]
            wholes = [dict(comparison.in_parts(curve, part))[n_batch] for part in parts]
            chosen = self._decide("n_ubatch", parts, [[ms] for ms in wholes], MARGIN)
            self._settle(n_ubatch=parts[chosen])
            curve = comparison.in_parts(curve, parts[chosen])
        self._settle(step_ms=tuple((size, round(ms, 3)) for size, ms in curve))

    def _decide(
        self, option: str, values: Sequence[object], times: Sequence[list[float]], margin: float
    ) -> int:
        """Which of ``values`` to take, the first of which is the default; keeps the trials.

        On a busy machine it is the default, because times tell more of the others than of it.
        """
        costs = comparison.costs(times)
        chosen = comparison.choose(costs, math.inf if self._interference.is_busy else margin)
        self._trials += [
            Trial(
                option=option,
                value=_spelt(value),
                cost=round(cost / costs[chosen], 3),
                chosen=index == chosen,
            )
            for index, (value, cost) in enumerate(zip(values, costs, strict=True))
        ]
        return chosen

    def _load(self, repack: bool) -> Weights:
        settings = self._options.settled(msgspec.structs.replace(self._best, repack=repack))
        return Weights.load(self._path, settings, self._overrides, lambda _: None, self._log)

    def _probe(self, weights: Weights, tuning: Tuning) -> Probe:
        largest = max(SIZES[-1], self._options.n_batch)
        return Probe(weights, self._options.settled(tuning), largest, self._log)

    def _settle(self, **decided: Any) -> None:
        self._best = msgspec.structs.replace(self._best, **decided)

    def _report(self, fraction: float) -> None:
        self._progress("measuring", fraction)

    def _finished(self) -> Tuning:
        self._report(1.0)
        return msgspec.structs.replace(
            self._best,
            trials=tuple(self._trials),
            skipped=tuple(self._skipped),
            busy=self._interference.is_busy,
            seconds=round(time.perf_counter() - self._started, 2),
            measured_at=datetime.now(UTC),
        )


def _thread_counts(cores: int) -> list[int]:
    """Numbers of threads to try: the default, and fewer where memory may be what is slow."""
    return sorted({max(1, cores // 2), max(1, cores * 3 // 4), cores}, reverse=True)


def _spelt(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
