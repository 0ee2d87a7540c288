"""Each engine that is here in turn, for the tests of what all of them promise."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.types import EngineConfig
from tests.engines.contract import CONTEXT, OPTIONS, StartEngine, engines_here

Concurrency = tuple[int, int]

SLOW_TO_START = {"vllm"}
"""Engines that tests share; their tests share an event loop, too."""


@pytest.fixture(params=engines_here())
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def weights(engine_name: str, request: pytest.FixtureRequest) -> Path:
    """A small model that the engine can load."""
    reads_gguf = engine_name in ("llama.cpp", "fake")
    path: Path = request.getfixturevalue("smollm2_path" if reads_gguf else "tiny_deepseek_folder")
    return path


@pytest.fixture(scope="session")
async def shared_engines() -> AsyncIterator[dict[Concurrency, Engine]]:
    """Engines that have been started already, by how many requests they run and let wait."""
    engines: dict[Concurrency, Engine] = {}
    yield engines
    for engine in engines.values():
        await engine.stop()


@pytest.fixture
def shared(engine_name: str, request: pytest.FixtureRequest) -> dict[Concurrency, Engine] | None:
    """None for an engine that each test starts for itself."""
    if engine_name not in SLOW_TO_START:
        return None
    engines: dict[Concurrency, Engine] = request.getfixturevalue("shared_engines")
    return engines


@pytest.fixture
async def start_engine(
    engine_name: str, weights: Path, shared: dict[Concurrency, Engine] | None
) -> AsyncIterator[StartEngine]:
    """Starts engines that are stopped when the test ends, or the last test that shares them."""
    async with AsyncExitStack() as resources:

        async def start(max_concurrency: int = 2, max_waiting: int = 256) -> Engine:
            config = EngineConfig(
                engine=engine_name,
                path=str(weights),
                context_length=CONTEXT,
                max_concurrency=max_concurrency,
                max_waiting=max_waiting,
                options=OPTIONS[engine_name],
            )
            engine = registry.create(config)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        async def share(max_concurrency: int = 2, max_waiting: int = 256) -> Engine:
            assert shared is not None
            key = (max_concurrency, max_waiting)
            if key not in shared or not shared[key].healthy:
                shared[key] = await start(max_concurrency, max_waiting)
                resources.pop_all()
            return shared[key]

        yield start if shared is None else share
