"""Every engine whose packages are here, and how tests ask it."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from codeserve.engines.base import Engine
from codeserve.engines.types import GenerationRequest, SamplingParams, TokenDelta
from codeserve.model_specs.segments import Text

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


def engines_here() -> list[str]:
    return [name for name, package in PACKAGES.items() if find_spec(package)]


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
