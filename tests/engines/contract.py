"""Every engine whose packages are here, and how tests ask it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from codeserve.engines.base import Engine
from codeserve.engines.types import (
    GenerationRequest,
    LoadQuantization,
    SamplingParams,
    TokenDelta,
)
from codeserve.model_specs.segments import Text
from tests.models.quantize import SCHEMES

CONTEXT = 512
StartEngine = Callable[..., Awaitable[Engine]]

OPTIONS: dict[str, dict[str, Any]] = {
    "llama.cpp": {"n_batch": 16, "tune": False},
    "fake": {"step_seconds": 0.001},
    "transformers": {"n_batch": 16, "dtype": "float32"},
    "vllm": {"max_num_batched_tokens": 32, "dtype": "float32"},
}
PACKAGES = {
    "llama.cpp": "llama_cpp",
    "fake": "llama_cpp",
    "transformers": "bitsandbytes",
    "vllm": "vllm",
}
"""What only the environment has in which an engine is tested: ``make test`` runs the same tests in
each."""


FORMS = {
    "llama.cpp": ("gguf",),
    "fake": ("gguf",),
    "transformers": ("pytorch", "4-bit", "8-bit", "gptq", "gptq_desc_act", "awq"),
    "vllm": ("pytorch",),
}
"""The weights with which each engine is tested; what vLLM makes of others shows ``test_quantized``,
because vLLM takes half a minute to start."""


def engines_here() -> list[str]:
    return [name for name, package in PACKAGES.items() if find_spec(package)]


@dataclass(frozen=True)
class Served:
    """An engine with weights of a form."""

    engine: str
    form: str

    @property
    def options(self) -> dict[str, Any]:
        options = OPTIONS[self.engine]
        if self.form in SCHEMES:
            return {name: value for name, value in options.items() if name != "dtype"}
        return options

    @property
    def quantization(self) -> LoadQuantization | None:
        return LoadQuantization(self.form) if self.form.endswith("bit") else None

    @property
    def is_slow_to_start(self) -> bool:
        """Whether tests share what has been started, and an event loop."""
        return self.engine == "vllm" or self.form in ("4-bit", "8-bit", *SCHEMES)


def served_here() -> list[Served]:
    return [Served(engine, form) for engine in engines_here() for form in FORMS[engine]]


def a_request(
    engine: Engine, prompt: str = "Once upon a time", **changes: object
) -> GenerationRequest:
    ids = tuple(engine.tokenizer.encode([Text(prompt)]))
    values: dict[str, object] = {
        "id": "r",
        "prompt_ids": ids,
        "max_tokens": 8,
        "stop_ids": frozenset(),
        "sampling": SamplingParams(temperature=0.0),
    }
    return GenerationRequest(**(values | changes))  # type: ignore[arg-type]


async def deltas_of(engine: Engine, request: GenerationRequest) -> list[TokenDelta]:
    return [delta async for delta in await engine.generate(request)]


async def tokens_of(engine: Engine, request: GenerationRequest) -> list[int]:
    return [token for delta in await deltas_of(engine, request) for token in delta.token_ids]


async def idle(engine: Engine, running: int = 0, waiting: int = 0) -> None:
    """Wait until so many requests are running and waiting."""
    async with asyncio.timeout(60):
        while True:
            load = engine.load
            if (load.running, load.waiting) == (running, waiting):
                return
            await asyncio.sleep(0.001)
