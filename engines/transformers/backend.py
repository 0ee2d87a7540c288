"""The Transformers engine."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import transformers

from codeserve.engines import memory
from codeserve.engines.base import Engine, Progress
from codeserve.engines.batching.choice import Choice, greedy
from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.drafting import Drafter, NgramDrafter
from codeserve.engines.batching.loop import StepEngine
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.prefix_folder import prefix_folder
from codeserve.engines.batching.scoring import Rows
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.step_backend import Chunk, rows_of
from codeserve.engines.cores import usable_cores
from codeserve.engines.errors import EngineFailure, ModelLoadError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.transformers import devices, weights
from codeserve.engines.transformers.kv_cache import KvCache
from codeserve.engines.transformers.options import TransformersOptions
from codeserve.engines.transformers.probe import LayerShape, layers_of
from codeserve.engines.transformers.room import Room
from codeserve.engines.transformers.step import Step
from codeserve.engines.types import EngineConfig, EngineInfo, GenerationRequest

KEPT_PREFIXES = 64
"""Slots for prefixes that no running request uses."""

SPARE_CELLS = 256
"""For blocks on their way from the store."""

MEASURED_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Tokens of the steps that are measured once a model is loaded."""
MEASURING_SECONDS = 2.0
"""No further size is measured after so long."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """A chunk of made-up tokens, all of which want logits: what verifying drafts is like."""

    token_ids: Sequence[int]
    slot: int = 0
    start: int = 0
    samples: bool = True
    scores_prompt: bool = False

    @property
    def drafts(self) -> int:
        """All but the first."""
        return len(self.token_ids) - 1


class TransformersBackend:
    """Implements ``StepBackend`` on Transformers' models, with a KV cache of its own."""

    tokenizer: Tokenizer
    batching: BatchingSettings
    drafter: Drafter | None
    can_share = True
    _model: Any
    _device: Any
    _kv: KvCache
    _info: EngineInfo
    _never_sampled: Any

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for an option that is unknown or cannot be had here."""
        self._config = config
        self._options = options = TransformersOptions.of(config.options)
        if config.max_concurrency > options.n_batch:
            raise ModelLoadError(
                f"max_concurrency is {config.max_concurrency}, but n_batch={options.n_batch} "
                "tokens make a step, and each request needs at least one. Raise n_batch or lower "
                "max_concurrency."
            )
        self._placement = devices.choose_placement(options)
        self.slots = 2 * config.max_concurrency + KEPT_PREFIXES
        self._choices: dict[int, Choice] = {}

    @property
    def cells(self) -> int:
        """How many tokens the KV cache holds for sequences."""
        return self._config.max_concurrency * self._info.context_length

    def load(self, progress: Progress) -> EngineInfo:
        """Load the weights. Raises ModelLoadError, having freed everything."""
        try:
            self._load(progress)
        except BaseException:
            self.unload()
            raise
        return self._info

    def open(self, slot: int, request: GenerationRequest, constraint: Constraint | None) -> None:
        """Prepare to sample ``request`` in ``slot``."""
        if Choice.is_needed(request, constraint):
            self._choices[slot] = Choice(request, constraint)

    def step(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """Compute ``chunks``; sample after each one that asks for it. Raises EngineFailure."""
        rows = self._logits(chunks)
        ends = np.cumsum([rows_of(chunk) for chunk in chunks])[:-1]
        return [
            self._outcome(chunk, part)
            for chunk, part in zip(chunks, np.split(rows, ends), strict=True)
        ]

    def close(self, slot: int) -> None:
        """End the sampling in ``slot``."""
        self._choices.pop(slot, None)

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` from ``start`` to ``end``."""
        self._kv.cells.fork(source, target, start, end)

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""
        self._kv.cells.trim(slot, length)

    def save(self, slot: int, start: int, end: int) -> bytes:
        """A copy of the keys and values of ``slot`` from ``start`` to ``end``."""
        return self._kv.save(slot, start, end)

    def restore(self, slot: int, data: bytes) -> bool:
        """Put what ``save`` gave into the empty ``slot``; False if the data does not fit."""
        return self._kv.restore(slot, data)

    def unload(self) -> None:
        """Free KV cache and weights."""
        self._choices.clear()
        self._model = self._kv = None  # type: ignore[assignment]
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _logits(self, chunks: Sequence[Chunk]) -> Rows:
        """Those that ``chunks`` want, in order. Raises EngineFailure."""
        try:
            with torch.inference_mode():
                step = Step(self._kv, chunks, self._device)
                rows = self._forward(step)
                return rows.to("cpu", torch.float32).numpy()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise EngineFailure(self._out_of_memory(chunks, error)) from error
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):
                raise
            raise EngineFailure(self._out_of_memory(chunks, error)) from error

    def _forward(self, step: Step) -> Any:
        """Logits after the wanted tokens, by token and id."""
        inputs = {"input_ids": step.token_ids, "position_ids": step.positions}
        if not step.wanted:
            self._model.base_model(**inputs, use_cache=False, attention=step)
            return torch.empty(0, 0)
        wanted = torch.tensor(step.wanted, device=self._device)
        output = self._model(**inputs, use_cache=False, logits_to_keep=wanted, attention=step)
        return output.logits[0]

    def _outcome(self, chunk: Chunk, rows: Rows) -> Outcome:
        """What ``chunk`` yields, of whose logits ``rows`` are."""
        choice = self._choices.get(chunk.slot)
        if choice is not None:
            return choice.outcome(chunk, rows, self._never_sampled)
        if len(rows) == 0:
            return Outcome()
        rows[:, self._never_sampled] = -np.inf
        return greedy(chunk, rows.argmax(axis=1).tolist())

    def _load(self, progress: Progress) -> None:
        config = self._config
        torch.set_num_threads(self._options.n_threads or usable_cores())
        host_bytes = memory.available_bytes()
        folder = Folder.read(Path(config.path))
        variant = folder.variant(config)
        asked = folder.context_length(config, variant)
        dtype = devices.choose_dtype(self._options, folder, self._placement)
        self._model = weights.load(folder, config.quantization, dtype, self._placement, progress)
        self._device = self._model.get_input_embeddings().weight.device
        layers = layers_of(self._model)
        kv_dtype = dtype
        if self._options.kv_dtype != "auto":
            kv_dtype = getattr(torch, self._options.kv_dtype)
        room = Room.of(self._model, layers, kv_dtype, host_bytes)
        length = asked or room.context_length(variant, config.max_concurrency)
        cells = config.max_concurrency * length + SPARE_CELLS
        room.check(cells)
        self._kv = KvCache(layers, cells, self.slots, kv_dtype)
        self.tokenizer = Tokenizer(folder.vocabulary, variant)
        self._never_sampled = np.array(self.tokenizer.never_sampled, np.intp)
        self._info = EngineInfo(
            engine="transformers",
            engine_version=transformers.__version__,
            device=devices.describe([layer.device for layer in layers]),
            variant=variant,
            context_length=length,
            max_concurrency=config.max_concurrency,
            trained_context_length=folder.trained_context_length,
            vocab_size=self._model.get_output_embeddings().weight.shape[0],
            parameters=folder.parameters,
            weights_bytes=folder.weights_bytes,
            settings=self._settings(dtype, layers),
        )
        self.batching = self._batching(folder, dtype)
        self.drafter = NgramDrafter() if self._options.draft else None

    def _settings(self, dtype: Any, layers: Sequence[LayerShape]) -> dict[str, Any]:
        """The options in effect, and what they run on."""
        return msgspec.structs.asdict(self._options) | {
            "device": str(layers[0].device),
            "dtype": _name(dtype),
            "kv_dtype": _name(self._kv.dtype),
            "n_threads": torch.get_num_threads(),
            "quantization": self._config.quantization,
            "torch": torch.__version__,
        }

    def _batching(self, folder: Folder, dtype: Any) -> BatchingSettings:
        options = self._options
        disk = None
        if options.cache_disk is not None:
            files = sorted(
                (f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in folder.path.iterdir()
            )
            subject = (
                files,
                transformers.__version__,
                dtype,
                self._kv.dtype,
                self._config.quantization,
            )
            disk = prefix_folder(options.cache_disk, folder.name, subject)
        return BatchingSettings(
            batch_tokens=options.n_batch,
            sampled_rows=options.n_batch + self._config.max_concurrency,
            step_seconds=tuple(self._measured_steps()),
            host_bytes=memory.host_cache_bytes(options.cache_host_mib),
            disk_folder=disk,
            disk_bytes=options.cache_disk_mib * memory.MIB,
        )

    def _measured_steps(self) -> Iterator[tuple[int, float]]:
        """Steps of some sizes and the seconds that they take; the first one warms up."""
        started = time.monotonic()
        self._measured(1)
        for size in MEASURED_SIZES:
            if size > self._options.n_batch or time.monotonic() - started > MEASURING_SECONDS:
                return
            yield size, min(self._measured(size) for _ in range(2))

    def _measured(self, tokens: int) -> float:
        started = time.monotonic()
        self._logits([Guesses(range(tokens))])
        self.trim(0, 0)
        return time.monotonic() - started

    def _out_of_memory(self, chunks: Sequence[Chunk], error: Exception) -> str:
        tokens = sum(len(chunk.token_ids) for chunk in chunks)
        return (
            f"There was not enough memory for a step of {tokens} tokens of {len(chunks)} requests "
            f"on {self._info.device}: {str(error).partition(chr(10))[0]} Lower n_batch, "
            "context_length or max_concurrency."
        )


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for options that are invalid."""
    return StepEngine(TransformersBackend(config), config)
