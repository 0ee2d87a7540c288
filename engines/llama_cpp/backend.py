"""The llama.cpp engine."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import llama_cpp
import msgspec

from codeserve.engines.base import Chunk, Engine, Progress
from codeserve.engines.batching.loop import StepEngine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.llama_cpp import memory, repairs, variants
from codeserve.engines.llama_cpp.batch import Batch
from codeserve.engines.llama_cpp.context import Context
from codeserve.engines.llama_cpp.log import LlamaLog
from codeserve.engines.llama_cpp.options import LlamaCppOptions
from codeserve.engines.llama_cpp.sampler import Sampler, bans
from codeserve.engines.llama_cpp.tuning import tune
from codeserve.engines.llama_cpp.weights import Weights, check_file
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineConfig, EngineInfo, GenerationRequest
from codeserve.model_specs.spec import Variant


class LlamaCppBackend:
    """Implements ``StepBackend`` on llama.cpp's C API."""

    tokenizer: Tokenizer
    _context: Context
    _batch: Batch
    _info: EngineInfo
    _banned: Any

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for an option that is unknown or cannot be had here."""
        self._config = config
        self._options = LlamaCppOptions.of(config.options)
        if self._options.n_batch < config.max_concurrency:
            raise ModelLoadError(
                f"n_batch is {self._options.n_batch}, but a step of max_concurrency="
                f"{config.max_concurrency} requests has at least that many tokens."
            )
        self._resources = ExitStack()
        self._samplers: dict[int, Sampler] = {}

    @property
    def batch_tokens(self) -> int:
        """The most tokens that one step can compute."""
        return self._options.n_batch

    def load(self, progress: Progress) -> EngineInfo:
        """Load the weights. Raises ModelLoadError, having freed everything."""
        with ExitStack() as resources:
            self._load(progress, resources)
            self._resources = resources.pop_all()
        return self._info

    def open(self, slot: int, request: GenerationRequest) -> None:
        """Prepare an empty ``slot`` to compute and sample ``request``."""
        info = self._info
        self._samplers[slot] = Sampler(request, info.vocab_size, info.context_length, self._banned)

    def step(self, chunks: Sequence[Chunk]) -> list[int]:
        """Compute ``chunks``; sample after each one that asks for it. Raises EngineFailure."""
        ends = self._batch.fill(chunks)
        self._context.decode(self._batch)
        slots = [chunk.slot for chunk in chunks if chunk.samples]
        pointer = self._context.pointer
        return [
            self._samplers[slot].sample(pointer, end) for slot, end in zip(slots, ends, strict=True)
        ]

    def close(self, slot: int) -> None:
        """Forget the sequence in ``slot``."""
        self._samplers.pop(slot).close()
        self._context.forget(slot)

    def unload(self) -> None:
        """Free samplers, KV cache and weights."""
        for sampler in self._samplers.values():
            sampler.close()
        self._samplers.clear()
        self._resources.close()

    def _load(self, progress: Progress, resources: ExitStack) -> None:
        path = Path(self._config.path)
        check_file(path)
        log = resources.enter_context(closing(LlamaLog()))
        llama_cpp.llama_backend_init()
        with log.only_errors(), closing(Weights.head_of(path, log)) as head:
            variant = self._variant_of(head)
            found = repairs.find(variant, head)
            context_length = self._context_length(variant.context_length, head)
        overrides = repairs.overrides(found)
        self._options = self._options.settled(tune(path, self._options, overrides, progress, log))
        weights = resources.enter_context(
            closing(
                Weights.load(
                    path,
                    self._options,
                    overrides,
                    lambda fraction: progress("weights", fraction),
                    log,
                )
            )
        )
        slots = self._config.max_concurrency
        self._context = resources.enter_context(
            closing(Context(weights, slots, context_length, self._options, log))
        )
        self.tokenizer = Tokenizer(weights.vocabulary, variant)
        self._banned = bans(self.tokenizer.never_sampled)
        self._batch = Batch(self._options.n_batch)
        self._info = self._describe(weights, variant, context_length, found)

    def _variant_of(self, head: Weights) -> Variant:
        variant = variants.recognise(self._config.variants, head)
        if variant is not None:
            return variant
        if self._config.variant_required:
            expected = ", ".join(f"{v.family} ({v.name})" for v in self._config.variants)
            raise ModelLoadError(
                f"{self._config.path} has a vocabulary of {head.vocabulary.size} tokens, which is "
                f"none of those expected: {expected}."
            )
        return variants.derive(head)

    def _context_length(self, trained: int, head: Weights) -> int:
        asked = self._config.context_length
        if asked is None:
            return memory.default_context_length(
                trained,
                self._config.max_concurrency,
                memory.token_bytes(head, self._options),
                memory.available_bytes() - Path(self._config.path).stat().st_size,
            )
        if asked > trained:
            raise ModelLoadError(
                f"context_length is {asked}, but this model was trained for {trained} tokens."
            )
        return asked

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
