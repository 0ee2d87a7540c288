"""An engine without a model, for tests of everything around engines.

Its vocabulary has a token per byte, BOS and EOS. It answers every prompt with a script, forever.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

import msgspec
import numpy as np

from codeserve.engines.base import Engine, Progress
from codeserve.engines.batching.constraint import Constraint
from codeserve.engines.batching.loop import StepEngine
from codeserve.engines.batching.outcome import Outcome
from codeserve.engines.batching.scoring import Scorer
from codeserve.engines.batching.settings import BatchingSettings
from codeserve.engines.batching.step_backend import Chunk, following
from codeserve.engines.errors import ModelLoadError, ServingError
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineConfig, EngineInfo, GenerationRequest, TokenScore
from codeserve.model_specs.spec import Variant

BOS, EOS = 256, 257
CONTROL_TOKENS = {"<bos>": BOS, "<eos>": EOS}
CHAT_TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


class FakeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the fake engine does, and how it fails."""

    script: str = "All work and no play makes Jack a dull boy. "
    """Text to emit, repeated, a byte per token."""
    step_seconds: float = 0.0
    """How long one step takes."""
    held_by: str | None = None
    """No step ends while this file exists."""
    load_seconds: float = 0.0
    """How long loading takes."""
    fail_load: str | None = None
    """Loading fails with this message."""
    crash_load: bool = False
    """The process kills itself while it loads."""
    fail_after: int | None = None
    """After so many steps, a step raises an error."""
    crash_after: int | None = None
    """After so many steps, the process kills itself."""
    hang_after: int | None = None
    """After so many steps, a step never ends."""


class FakeVocabulary:
    """A token per byte, and two control tokens."""

    size = 258
    special_tokens: Mapping[str, int] = CONTROL_TOKENS

    def encode(self, text: str) -> list[int]:
        """The bytes of ``text``."""
        return list(text.encode())

    def piece(self, token_id: int) -> bytes:
        """The byte itself."""
        return bytes([token_id])

    def join(self, token_ids: Sequence[int]) -> bytes:
        """The bytes themselves."""
        return bytes(token_ids)


class FakeBackend:
    """Emits the script of its options. Its cache holds nothing, as the script needs nothing."""

    batching = BatchingSettings(batch_tokens=64, sampled_rows=64)
    drafter = None
    can_share = True

    def __init__(self, config: EngineConfig) -> None:
        """Raises ModelLoadError for an unknown option."""
        try:
            self._options = msgspec.convert(dict(config.options), FakeOptions)
        except msgspec.ValidationError as error:
            raise ModelLoadError(f"The fake engine's options: {error}.") from error
        self._script = self._options.script.encode()
        self._context_length = config.context_length or 4096
        self._max_concurrency = config.max_concurrency
        self.cells = config.max_concurrency * self._context_length
        self.slots = 2 * config.max_concurrency + 8
        self._variant = Variant(
            family="fake",
            name="fake",
            context_length=self._context_length,
            bos="<bos>",
            eos="<eos>",
            control_tokens=CONTROL_TOKENS,
            stop_tokens=("<eos>",),
            chat_template=CHAT_TEMPLATE,
        )
        self.tokenizer = Tokenizer(FakeVocabulary(), self._variant)
        self._open: dict[int, tuple[GenerationRequest, Constraint | None]] = {}
        self._steps = 0

    def load(self, progress: Progress) -> EngineInfo:
        """Pretend to read weights."""
        progress("weights", 0.0)
        time.sleep(self._options.load_seconds)
        if self._options.crash_load:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._options.fail_load is not None:
            raise ModelLoadError(self._options.fail_load)
        progress("weights", 1.0)
        return EngineInfo(
            engine="fake",
            engine_version="1",
            device="cpu",
            variant=self._variant,
            context_length=self._context_length,
            max_concurrency=self._max_concurrency,
            trained_context_length=self._context_length,
            vocab_size=FakeVocabulary.size,
            parameters=0,
            weights_bytes=0,
            settings=msgspec.structs.asdict(self._options),
        )

    def open(self, slot: int, request: GenerationRequest, constraint: Constraint | None) -> None:
        """Remember where the answer begins."""
        self._open[slot] = request, constraint

    def step(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """The next byte of the script for each chunk that samples, or else, where that is ruled
        out, the end or the first byte that is not."""
        options = self._options
        if self._steps == options.crash_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._steps == options.hang_after:
            Event().wait()
        if self._steps == options.fail_after:
            raise RuntimeError(f"told to fail after {options.fail_after} steps")
        time.sleep(options.step_seconds)
        while options.held_by is not None and os.path.exists(options.held_by):
            time.sleep(0.01)
        self._steps += 1
        return [self._outcome(chunk) for chunk in chunks]

    def close(self, slot: int) -> None:
        """Forget the slot."""
        del self._open[slot]

    def fork(self, source: int, target: int, start: int, end: int) -> None:
        """Nothing to share."""

    def trim(self, slot: int, length: int) -> None:
        """Nothing to forget."""

    def save(self, slot: int, start: int, end: int) -> bytes:
        """Nothing to copy."""
        return b""

    def restore(self, slot: int, data: bytes) -> bool:
        """Nothing to put back."""
        return True

    def unload(self) -> None:
        """Nothing to free."""

    def _outcome(self, chunk: Chunk) -> Outcome:
        request, constraint = self._open[chunk.slot]
        prompt_scores = self._score_prompt(chunk, request) if chunk.scores_prompt else ()
        if not chunk.samples:
            return Outcome(prompt_scores=prompt_scores)
        position = chunk.start + len(chunk.token_ids) - len(request.prompt_ids)
        byte = self._script[position % len(self._script)]
        if constraint is None and request.logprobs is None:
            return Outcome([byte], prompt_scores=prompt_scores)
        rows = self._rows(1, byte)
        on_sampled = None if request.logprobs is None else Scorer(rows, request.logprobs)
        try:
            token = _likeliest(rows[0], constraint)
        except ServingError as error:
            return Outcome(error=error)
        scores = [] if on_sampled is None else on_sampled.scores([token])
        return Outcome([token], scores, prompt_scores)

    def _score_prompt(self, chunk: Chunk, request: GenerationRequest) -> list[TokenScore]:
        token_ids = following(chunk, request)
        return Scorer(self._rows(len(token_ids)), request.prompt_logprobs or 0).scores(token_ids)

    def _rows(self, count: int, likeliest: int = BOS) -> Any:
        """Logits that fall from id to id, but for the likeliest and BOS."""
        rows = np.tile(-np.arange(FakeVocabulary.size, dtype=np.float32), (count, 1))
        rows[:, [EOS, BOS]] = 0.5, -1000
        rows[:, likeliest] = 1
        return rows


def _likeliest(row: Any, constraint: Constraint | None) -> int:
    if constraint is not None:
        constraint.apply(row)
    token = int(row.argmax())
    if constraint is not None:
        constraint.accept(token)
    return token


def create(config: EngineConfig) -> Engine:
    """The engine for ``config``. Raises ModelLoadError for an unknown option."""
    return StepEngine(FakeBackend(config), config)
