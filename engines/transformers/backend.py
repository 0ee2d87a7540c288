"""The Transformers engine."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
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
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint.transformers import SPARE_CELLS
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.transformers import devices, weights
from codeserve.engines.transformers.kv_cache import KvCache
from codeserve.engines.transformers.network import Network
from codeserve.engines.transformers.options import TransformersOptions
from codeserve.engines.transformers.probe import layers_of
from codeserve.engines.transformers.room import Room
from codeserve.engines.types import EngineConfig, EngineInfo, GenerationRequest

KEPT_PREFIXES = 64
"""Slots for prefixes that no running request uses."""


class TransformersBackend:
    """Implements ``StepBackend`` on Transformers' models, with a KV cache of its own."""

    tokenizer: Tokenizer
    batching: BatchingSettings
    drafter: Drafter | None
    can_share = True
    _network: Network
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
        self._resources = ExitStack()
        self._choices: dict[int, Choice] = {}

    @property
    def cells(self) -> int:
        """How many tokens the KV cache holds for sequences."""
        return self._config.max_concurrency * self._info.context_length

    def load(self, progress: Progress) -> EngineInfo:
        """Load the weights. Raises ModelLoadError, having freed everything."""
        with ExitStack() as resources:
            self._load(progress, resources)
            self._resources = resources.pop_all()
        return self._info

    def open(self, slot: int, request: GenerationRequest, constraint: Constraint | None) -> None:
        """Prepare to sample ``request`` in ``slot``."""
        if Choice.is_needed(request, constraint):
            self._choices[slot] = Choice(request, constraint)

    def step(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """Compute ``chunks``; sample after each one that asks for it. Raises EngineFailure."""
        rows = self._network.logits(chunks)
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
        self._network.kv.cells.fork(source, target, start, end)

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""
        self._network.kv.cells.trim(slot, length)

    def save(self, slot: int, start: int, end: int) -> bytes:
        """A copy of the keys and values of ``slot`` from ``start`` to ``end``."""
        return self._network.kv.save(slot, start, end)

    def restore(self, slot: int, data: bytes) -> bool:
        """Put what ``save`` gave into the empty ``slot``; False if the data does not fit."""
        return self._network.kv.restore(slot, data)

    def unload(self) -> None:
        """Free KV cache and weights."""
        self._choices.clear()
        self._resources.close()

    def _outcome(self, chunk: Chunk, rows: Rows) -> Outcome:
        """What ``chunk`` yields, of whose logits ``rows`` are."""
        choice = self._choices.get(chunk.slot)
        if choice is not None:
            return choice.outcome(chunk, rows, self._never_sampled)
        if len(rows) == 0:
            return Outcome()
        rows[:, self._never_sampled] = -np.inf
        return greedy(chunk, rows.argmax(axis=1).tolist())

    def _load(self, progress: Progress, resources: ExitStack) -> None:
        config, options = self._config, self._options
        torch.set_num_threads(options.n_threads or usable_cores())
        host_bytes = memory.available_bytes()
        folder = Folder.read(Path(config.path))
        variant = folder.variant(config)
        asked = folder.context_length(config, variant)
        dtype = devices.choose_dtype(options, folder, self._placement)
        model = weights.load(folder, config.quantization, dtype, self._placement, progress)
        layers = layers_of(model)
        kv_dtype = dtype if options.kv_dtype == "auto" else getattr(torch, options.kv_dtype)
        room = Room.of(model, layers, kv_dtype, host_bytes)
        length = asked or room.context_length(variant, config.max_concurrency)
        cells = config.max_concurrency * length + SPARE_CELLS
        room.check(cells)
        kv = KvCache(layers, cells, self.slots, kv_dtype)
        self._network = resources.enter_context(closing(Network(model, kv)))
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
            vocab_size=model.get_output_embeddings().weight.shape[0],
            parameters=folder.parameters,
            weights_bytes=folder.weights_bytes,
            settings=self._settings(dtype, kv_dtype),
        )
        self.batching = self._batching(folder, self._network)
        self.drafter = NgramDrafter() if options.draft else None

    def _settings(self, dtype: Any, kv_dtype: Any) -> dict[str, Any]:
        """The options in effect, and what they run on."""
        quantization = self._config.quantization
        return msgspec.structs.asdict(self._options) | {
            "dtype": _name(dtype),
            "kv_dtype": _name(kv_dtype),
            "n_threads": torch.get_num_threads(),
            "quantization": None if quantization is None else quantization.value,
            "torch": str(torch.__version__),
        }

    def _batching(self, folder: Folder, network: Network) -> BatchingSettings:
        options = self._options
        disk = options.cache_disk
        return BatchingSettings(
            batch_tokens=options.n_batch,
            sampled_rows=options.n_batch + self._config.max_concurrency,
            step_seconds=tuple(network.measured_steps(options.n_batch)),
            host_bytes=memory.host_cache_bytes(options.cache_host_mib),
            disk_folder=None if disk is None else self._prefix_folder(disk, folder),
            disk_bytes=options.cache_disk_mib * memory.MIB,
        )

    def _prefix_folder(self, root: str, folder: Folder) -> Path:
        """The place of these files, this library and these number types."""
        status = [(path.name, path.stat()) for path in sorted(folder.path.iterdir())]
        files = [(name, s.st_size, s.st_mtime_ns) for name, s in status]
        settings = self._info.settings
        types = [settings[name] for name in ("dtype", "kv_dtype", "quantization")]
        return prefix_folder(root, folder.name, (files, types, transformers.__version__))


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for options that are invalid."""
    return StepEngine(TransformersBackend(config), config)
