"""Each engine in turn, for the tests of what all of them promise."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.types import EngineConfig
from tests.engines.contract import CONTEXT, OPTIONS, StartEngine


@pytest.fixture(params=sorted(OPTIONS))
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def start_engine(engine_name: str, smollm2_path: Path) -> AsyncIterator[StartEngine]:
    """Starts engines that are stopped when the test ends."""
    async with AsyncExitStack() as resources:

        async def start(max_concurrency: int = 2, max_waiting: int = 256) -> Engine:
            options = OPTIONS[engine_name]
            config = EngineConfig(
                engine=engine_name,
                path=str(smollm2_path),
                context_length=CONTEXT,
                max_concurrency=max_concurrency,
                max_waiting=max_waiting,
                options=options,
            )
            engine = registry.create(config)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        yield start
