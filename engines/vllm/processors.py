"""What rules tokens out, in vLLM's workers: the same code as on every engine.

vLLM makes these by name in each worker process and asks them once a step. They never raise, because
that would end the engine for everybody: where a request's rules leave nothing, its end is forced,
which ``replay`` recognises.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import msgspec
import numpy as np
import torch
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from codeserve.engines.batching.constraint import Constraint, Matcher
from codeserve.engines.errors import ServingError
from codeserve.engines.hugging_face.folder import Folder
from codeserve.engines.structured.grammar_compiler import GrammarCompiler
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import GenerationRequest, Grammar
from codeserve.engines.vllm.rules import KEY, Rules, Truncation
from codeserve.engines.vllm.truncation import truncate
from codeserve.model_specs.spec import Variant

State = TypeVar("State")
NewState = Callable[[SamplingParams, list[int] | None, list[int]], State | None]


class Setup(msgspec.Struct, frozen=True):
    """What the processors need to know of a model; crosses as ``additional_config``."""

    path: str
    variant: Variant
    vocab_size: int

    @property
    def packed(self) -> dict[str, str]:
        """As ``additional_config``."""
        return {KEY: msgspec.json.encode(self).decode()}

    @classmethod
    def unpacked(cls, additional_config: Any) -> "Setup":
        """From ``additional_config``."""
        return msgspec.json.decode(additional_config[KEY], type=cls)


class Grammars:
    """Compiles grammars beside vLLM's steps; the tokenizer is read for the first."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="grammars")
        self._lock = Lock()
        self._compiler: GrammarCompiler | None = None
        self._compiling: dict[Grammar, Future[Matcher]] = {}

    def announce(self, grammar: Grammar) -> None:
        """Begin to compile what a request will ask for soon."""
        compiling = self._compiling[grammar] = self._threads.submit(self._compile, grammar)
        compiling.add_done_callback(lambda _: self._compiling.pop(grammar, None))

    def matcher(self, grammar: Grammar) -> Matcher:
        """A fresh matcher. Raises InvalidRequest."""
        if announced := self._compiling.get(grammar):
            announced.result()
        return self._compile(grammar)

    def _compile(self, grammar: Grammar) -> Matcher:
        return self._prepared().compile(grammar)

    def _prepared(self) -> GrammarCompiler:
        with self._lock:
            if self._compiler is None:
                setup = self._setup
                tokenizer = Tokenizer(Folder.read(Path(setup.path)).vocabulary, setup.variant)
                stop_ids = setup.variant.stop_ids
                self._compiler = GrammarCompiler(tokenizer, setup.vocab_size, stop_ids)
            return self._compiler


class ConstrainedRow:
    """One request that rules tokens out, in vLLM's batch."""

    def __init__(
        self, constraint: Constraint | None, request: GenerationRequest, sampled: Sequence[int]
    ) -> None:
        """``constraint``: None if it could not be made. ``sampled`` grows with each step."""
        self._constraint = constraint
        self._stop_ids = sorted(request.stop_ids)
        self._sampled = sampled
        self._accepted = 0

    def apply(self, logits: torch.Tensor) -> None:
        """Set every token that may not come next to -inf; where there is none, force an end."""
        mask = np.zeros(logits.shape[0], np.float32)
        try:
            if self._constraint is not None:
                self._follow(self._constraint)
                self._constraint.apply(mask)
        except ServingError:
            self._constraint = None
        if self._constraint is None:
            mask[:] = -np.inf
            mask[self._stop_ids or 0] = 0
        logits += torch.from_numpy(mask).to(logits.device, non_blocking=True)

    def _follow(self, constraint: Constraint) -> None:
        for token_id in self._sampled[self._accepted :]:
            constraint.accept(token_id)
            self._accepted += 1


class ConstraintProcessor(LogitsProcessor):  # type: ignore[misc]
    """Rules tokens out: padding rows for everyone, the rest as each request wants."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        setup = Setup.unpacked(vllm_config.additional_config)
        self._padding = setup.variant.padding_rows
        self._masks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="masks")
        self._rows: dict[int, ConstrainedRow] = {}
        self.grammars = Grammars(setup)

    def is_argmax_invariant(self) -> bool:
        """It is not: greedy requests obey as well."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow the batch."""
        process_dict_updates(self._rows, batch_update, self._open)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Rule out what may not come next, in each row of the batch."""
        if self._padding is not None:
            first, last = self._padding
            logits[:, first : last + 1] = -torch.inf
        for index, row in self._rows.items():
            row.apply(logits[index])
        return logits

    def _open(
        self, params: SamplingParams, _prompt: list[int] | None, sampled: list[int]
    ) -> ConstrainedRow | None:
        rules = Rules.unpacked(params.extra_args)
        if rules is None or rules.constrained is None:
            return None
        request = rules.constrained
        try:
            constraint = Constraint(request, self._matcher(request), self._masks)
        except ServingError:
            return ConstrainedRow(None, request, sampled)
        return ConstrainedRow(constraint, request, sampled)

    def _matcher(self, request: GenerationRequest) -> Matcher | None:
        grammar = request.sampling.grammar
        return None if grammar is None else self.grammars.matcher(grammar)


class TruncationProcessor(LogitsProcessor):  # type: ignore[misc]
    """Truncates in our order the distributions of requests for which vLLM's would differ."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rules: dict[int, Truncation] = {}

    def is_argmax_invariant(self) -> bool:
        """True, which lets it run after the temperature, and not for greedy requests."""
        return True

    def update_state(self, batch_update: Any) -> None:
        """Follow the batch."""
        process_dict_updates(self._rules, batch_update, _truncation)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Cut off what each request's rule does not keep."""
        for index, rule in self._rules.items():
            truncate(logits[index], rule)
        return logits


class WorkerExtension:
    """Is mixed into vLLM's worker class."""

    def announce_grammar(self, packed: str) -> None:
        """Begin to compile a grammar (as JSON) for a request that will come."""
        grammar = msgspec.json.decode(packed, type=Grammar)
        processors = self.model_runner.input_batch.logitsprocs  # type: ignore[attr-defined]
        for processor in processors.non_argmax_invariant:
            if isinstance(processor, ConstraintProcessor):
                processor.grammars.announce(grammar)


def _truncation(
    params: SamplingParams, _prompt: list[int] | None, _sampled: list[int]
) -> Truncation | None:
    rules = Rules.unpacked(params.extra_args)
    return None if rules is None else rules.truncation
