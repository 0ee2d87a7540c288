"""A loaded model with its KV cache."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from codeserve.engines.batching.scoring import Rows
from codeserve.engines.batching.step_backend import Chunk
from codeserve.engines.errors import EngineFailure
from codeserve.engines.transformers.kv_cache import KvCache
from codeserve.engines.transformers.step import Step

MEASURED_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Tokens of the steps that are measured once a model is loaded."""
MEASURING_SECONDS = 2.0
"""No further size is measured after so long."""

REFUSED_BY_HOST = "can't allocate memory"
"""What PyTorch's RuntimeError says where the CPU's memory is used up."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """A chunk of made-up tokens that all want logits: what verifying drafts is like."""

    token_ids: Sequence[int]
    slot: int = 0
    start: int = 0
    samples: bool = True
    scores_prompt: bool = False

    @property
    def drafts(self) -> int:
        """All but the first."""
        return len(self.token_ids) - 1


class Network:
    """Computes the logits of chunks."""

    def __init__(self, model: Any, kv: KvCache, *, together: bool | None = None) -> None:
        """``kv``: a cache that fits the layers of ``model``. ``together``: slots with one token
        attend together; None: as is faster on the device."""
        self.kv = kv
        self._model = model
        self._device = model.get_input_embeddings().weight.device
        self._together = self._device.type != "cpu" if together is None else together

    def logits(self, chunks: Sequence[Chunk]) -> Rows:
        """The rows that ``chunks`` want, in order. Raises EngineFailure."""
        try:
            with torch.inference_mode():
                rows = self._forward(Step(self.kv, chunks, self._device, together=self._together))
                return rows.to("cpu", torch.float32).numpy()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _out_of_memory(chunks, error) from error
        except RuntimeError as error:
            if REFUSED_BY_HOST not in str(error):
                raise
            raise _out_of_memory(chunks, error) from error

    def measured_steps(self, most_tokens: int) -> Iterator[tuple[int, float]]:
        """Steps of some sizes up to ``most_tokens`` and the seconds that they take, while no slot
        is in use. One before them warms up."""
        started = time.monotonic()
        self._seconds(1)
        for size in MEASURED_SIZES:
            if size > most_tokens or time.monotonic() - started > MEASURING_SECONDS:
                return
            yield size, min(self._seconds(size) for _ in range(2))

    def close(self) -> None:
        """Free the weights and the cache."""
        del self._model, self.kv
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _forward(self, step: Step) -> Any:
        """Logits after the wanted tokens, by token and id."""
        inputs = {"input_ids": step.token_ids, "position_ids": step.positions}
        if not step.wanted:
            self._model.base_model(**inputs, use_cache=False, attention=step)
            return torch.empty(0, 0)
        wanted = torch.tensor(step.wanted, device=self._device)
        output = self._model(**inputs, use_cache=False, logits_to_keep=wanted, attention=step)
        return output.logits[0]

    def _seconds(self, tokens: int) -> float:
        started = time.monotonic()
        self.logits([Guesses(range(tokens))])
        self.kv.cells.trim(0, 0)
        return time.monotonic() - started


def _out_of_memory(chunks: Sequence[Chunk], error: Exception) -> EngineFailure:
    tokens = sum(len(chunk.token_ids) for chunk in chunks)
    longest = max(chunk.start + len(chunk.token_ids) for chunk in chunks)
    reason = str(error).partition("\n")[0]
    return EngineFailure(
        f"There was not enough memory for a step of {tokens} tokens of {len(chunks)} requests, the "
        f"longest of {longest} tokens: {reason} Lower n_batch, context_length or max_concurrency."
    )
