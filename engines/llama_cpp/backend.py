"""The llama.cpp engine."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import msgspec
import numpy as np

from codeserve.engines import memory
from codeserve.engines.base import Engine, Progress
from codeserve.engines.batching.choice import Choice, greedy
from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.drafting import Drafter, EitherDrafter, NgramDrafter
from codeserve.engines.batching.loop import StepEngine
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.prefix_folder import prefix_folder
from codeserve.engines.batching.scoring import Rows
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.step_backend import Chunk, rows_of
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.footprint.llama_cpp import cells, slots
from codeserve.engines.llama_cpp import repairs
from codeserve.engines.llama_cpp.batch import Batch
from codeserve.engines.llama_cpp.context import Context, Room
from codeserve.engines.llama_cpp.draft_model import DraftModel
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.memory import token_bytes
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.tuning import Tuning, tune
from codeserve.engines.llama_cpp.weights import Weights, check_file
from codeserve.engines.text import variants
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineConfig, EngineInfo, GenerationRequest
from codeserve.model_specs.spec import Variant

MAX_CONCURRENCY = 100
IDLE_ROWS = 256
"""On a CPU each row of a step looks at every cell in use, whosesoever. So many times cost about as
much as copying a cell to host memory and back, with the part of a block that is computed again."""

DETERMINISTIC_CHUNK = 64


class LlamaCppBackend:
    """Implements ``StepBackend`` on llama.cpp's C API."""

    tokenizer: Tokenizer
    batching: BatchingSettings
    drafter: Drafter | None
    slots: int
    can_share: bool
    _context: Context
    _batch: Batch
    _info: EngineInfo
    _never_sampled: Any

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for an option that is unknown or cannot be had here."""
        self._config = config
        self._options = LlamaCppOptions.of(config.options)
        most = min(self._options.n_batch, MAX_CONCURRENCY)
        if config.max_concurrency > most:
            raise ModelLoadError(
                f"max_concurrency is {config.max_concurrency}, but llama.cpp decodes at most "
                f"{most} requests together: n_batch={self._options.n_batch} tokens make a step, "
                f"and its cache has room for {MAX_CONCURRENCY}."
            )
        self._resources = ExitStack()
        self._choices: dict[int, Choice] = {}

    @property
    def max_concurrency(self) -> int:
        """Requests decoded together."""
        return self._config.max_concurrency

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
        if self._options.deterministic:
            return [outcome for chunk in chunks for outcome in self._compute([chunk])]
        return self._compute(chunks)

    def close(self, slot: int) -> None:
        """End the sampling in ``slot``."""
        self._choices.pop(slot, None)

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` share the cells of ``source`` from ``start`` to ``end``."""
        self._context.fork(source, target, start, end)

    def trim(self, slot: int, length: int) -> None:
        """Forget all but the first ``length`` tokens of ``slot``."""
        self._context.trim(slot, length)

    def save(self, slot: int, start: int, end: int) -> bytes:
        """A copy of the keys and values of ``slot`` from ``start`` to ``end``."""
        alone = self.slots
        self._context.fork(slot, alone, start, end)
        data = self._context.save(alone)
        self._context.trim(alone, 0)
        return data

    def restore(self, slot: int, data: bytes) -> bool:
        """Put what ``save`` gave into the empty ``slot``; False if the data does not fit."""
        return self._context.restore(slot, data)

    def unload(self) -> None:
        """Free KV cache and weights."""
        self._resources.close()

    def _compute(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """One batch of llama.cpp's, and what each of ``chunks`` yields."""
        count = self._batch.fill(chunks)
        self._context.decode(self._batch)
        rows = self._context.logits(count) if count else np.empty((0, 0), np.float32)
        ends = np.cumsum([rows_of(chunk) for chunk in chunks])[:-1]
        return [
            self._outcome(chunk, part)
            for chunk, part in zip(chunks, np.split(rows, ends), strict=True)
        ]

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
        path = Path(self._config.path)
        check_file(path)
        log = resources.enter_context(closing(LlamaLog()))
        llama_cpp.llama_backend_init()
        with log.only_errors(), closing(Weights.head_of(path, log)) as head:
            variant = variants.choose(self._config, head)
            found = repairs.find(variant, head)
            context_length = self._context_length(variant, head)
        overrides = repairs.overrides(found)
        tuning = tune(path, self._options, overrides, progress, log)
        options = self._options = self._options.settled(tuning)
        weights = resources.enter_context(
            closing(
                Weights.load(
                    path, options, overrides, lambda fraction: progress("weights", fraction), log
                )
            )
        )
        room = self._room(weights, context_length)
        self._context = resources.enter_context(closing(Context(weights, room, options, log)))
        self.tokenizer = Tokenizer(weights.vocabulary, variant)
        self._never_sampled = np.array(self.tokenizer.never_sampled, np.intp)
        self._batch = Batch(options.n_batch)
        self._info = self._describe(weights, variant, context_length, found)
        self.batching = self._settings(tuning)
        self.drafter = self._make_drafter(weights, room, resources, log)

    def _make_drafter(
        self, weights: Weights, room: Room, resources: ExitStack, log: LlamaLog
    ) -> Drafter | None:
        options = self._options
        if not options.draft or not self.can_share:
            if options.draft_model is not None:
                raise ModelLoadError(
                    "draft_model needs drafting, which draft = false, deterministic = true and "
                    "models that cannot be trimmed rule out."
                )
            return None
        if options.draft_model is None:
            return NgramDrafter()
        path = Path(options.draft_model).expanduser()
        small = replace(room, slots=self._config.max_concurrency)
        model = DraftModel.load(path, weights, small, options, log)
        return EitherDrafter(NgramDrafter(), resources.enter_context(closing(model)))

    def _room(self, weights: Weights, context_length: int) -> Room:
        """Cells for every request's whole context, and slots for them and for kept prefixes."""
        concurrency = self._config.max_concurrency
        self.can_share = weights.can_share and not self._options.deterministic
        self.slots = slots(concurrency, shared=self.can_share)
        size = cells(concurrency, context_length, shared=self.can_share)
        return Room(size, self.slots + self.can_share, unified=self.can_share)

    def _settings(self, tuning: Tuning) -> BatchingSettings:
        options = self._options
        folder = options.cache_disk
        return BatchingSettings(
            batch_tokens=options.n_batch,
            sampled_rows=self._context.sampled_rows,
            chunk_tokens=DETERMINISTIC_CHUNK if options.deterministic else None,
            step_seconds=tuple((tokens, ms / 1000) for tokens, ms in tuning.step_ms),
            idle_rows=None if options.n_gpu_layers else IDLE_ROWS,
            host_bytes=memory.host_cache_bytes(options.cache_host_mib),
            disk_folder=None if folder is None else self._prefix_folder(folder),
            disk_bytes=options.cache_disk_mib * memory.MIB,
        )

    def _prefix_folder(self, root: str) -> Path:
        """The place of this file, this llama.cpp and these types of keys and values."""
        path, options = Path(self._config.path), self._options
        status = path.stat()
        subject = (
            path.name,
            status.st_size,
            status.st_mtime_ns,
            llama_cpp.__version__,
            options.type_k,
            options.type_v,
            options.flash_attn,
        )
        return prefix_folder(root, path.stem, subject)

    def _context_length(self, variant: Variant, head: Weights) -> int:
        asked = self._config.context_length
        if asked is not None:
            return variants.check_context_length(asked, variant)
        return memory.default_context_length(
            variant.context_length,
            self._config.max_concurrency,
            token_bytes(head, self._options),
            memory.available_bytes() - Path(self._config.path).stat().st_size,
        )

    def _describe(
        self,
        weights: Weights,
        variant: Variant,
        context_length: int,
        found: tuple[repairs.Repair, ...],
    ) -> EngineInfo:
        return EngineInfo(
            engine="llama.cpp",
            engine_version=llama_cpp.__version__,
            device=weights.device(self._options),
            variant=variant,
            context_length=context_length,
            max_concurrency=self._config.max_concurrency,
            trained_context_length=variant.context_length,
            vocab_size=weights.vocabulary.size,
            parameters=weights.parameters,
            weights_bytes=weights.bytes,
            repairs=tuple(repair.sentence for repair in found),
            settings=msgspec.structs.asdict(self._options)
            | {"system_info": llama_cpp.llama_print_system_info().decode()},
        )


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for options that are invalid."""
    return StepEngine(LlamaCppBackend(config), config)
