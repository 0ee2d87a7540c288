"""Each engine that is here in turn, for the tests of what all of them promise."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.types import EngineConfig
from tests.engines.contract import CONTEXT, Served, StartEngine, served_here
from tests.models.quantize import SCHEMES

Concurrency = tuple[Served, int, int]


@pytest.fixture(params=served_here(), ids=lambda served: f"{served.engine}-{served.form}")
def served(request: pytest.FixtureRequest) -> Served:
    what: Served = request.param
    return what


@pytest.fixture
def engine_name(served: Served) -> str:
    return served.engine


@pytest.fixture
def weights(served: Served, request: pytest.FixtureRequest) -> Path:
    """A small model that the engine can load."""
    if served.form in SCHEMES:
        folder: Path = request.getfixturevalue("checkpoints")[served.form].folder
        return folder
    name = "smollm2_path" if served.form == "gguf" else "tiny_deepseek_folder"
    path: Path = request.getfixturevalue(name)
    return path


@pytest.fixture(scope="session")
async def shared_engines() -> AsyncIterator[dict[Concurrency, Engine]]:
    """Engines that have been started already, by how many requests they run and let wait."""
    engines: dict[Concurrency, Engine] = {}
    yield engines
    for engine in engines.values():
        await engine.stop()


@pytest.fixture
def shared(served: Served, request: pytest.FixtureRequest) -> dict[Concurrency, Engine] | None:
    """None for an engine that each test starts for itself."""
    if not served.is_slow_to_start:
        return None
    engines: dict[Concurrency, Engine] = request.getfixturevalue("shared_engines")
    return engines


@pytest.fixture
async def start_engine(
    served: Served, weights: Path, shared: dict[Concurrency, Engine] | None
) -> AsyncIterator[StartEngine]:
    """Starts engines that are stopped when the test ends, or the last test that shares them."""
    async with AsyncExitStack() as resources:

        async def start(max_concurrency: int = 2, max_waiting: int = 256) -> Engine:
            config = EngineConfig(
                engine=served.engine,
                path=str(weights),
                quantization=served.quantization,
                context_length=CONTEXT,
                max_concurrency=max_concurrency,
                max_waiting=max_waiting,
                options=served.options,
            )
            engine = registry.create(config)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        async def share(max_concurrency: int = 2, max_waiting: int = 256) -> Engine:
            assert shared is not None
            key = (served, max_concurrency, max_waiting)
            if key not in shared or not shared[key].healthy:
                shared[key] = await start(max_concurrency, max_waiting)
                resources.pop_all()
            return shared[key]

        yield start if shared is None else share
