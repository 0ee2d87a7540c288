import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import EngineFailure, ModelLoadError, ModelUnavailable
from codeserve.engines.types import EngineConfig, GenerationRequest

StartEngine = Callable[..., Awaitable[Engine]]


def new_engine(**options: object) -> Engine:
    config = EngineConfig(engine="fake", path="", max_concurrency=2, options=options)
    return registry.create(config)


@pytest.fixture
async def start_engine() -> AsyncIterator[StartEngine]:
    async with AsyncExitStack() as resources:

        async def start(**options: object) -> Engine:
            engine = new_engine(**options)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        yield start


def a_request(max_tokens: int = 10) -> GenerationRequest:
    return GenerationRequest(
        id="r", prompt_ids=(1, 2, 3), max_tokens=max_tokens, stop_ids=frozenset()
    )


async def test_a_failing_step_fails_every_generation_and_ends_the_engine(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(fail_after=3)
    generations = [await engine.generate(a_request()) for _ in range(4)]

    for generation in generations:
        with pytest.raises(EngineFailure, match="told to fail after 3 steps"):
            [delta async for delta in generation]
    assert not engine.healthy
    assert engine.load.steps == 3
    with pytest.raises(EngineFailure, match="told to fail"):
        await engine.generate(a_request())


async def test_a_failed_engine_can_be_stopped(start_engine: StartEngine) -> None:
    engine = await start_engine(fail_after=0)
    with pytest.raises(EngineFailure):
        [delta async for delta in await engine.generate(a_request())]
    await engine.stop()
    assert not engine.healthy


async def test_a_load_that_fails_says_why_and_leaves_nothing_running() -> None:
    engine = new_engine(fail_load="the disk is on fire")
    with pytest.raises(ModelLoadError, match="the disk is on fire"):
        await engine.start(lambda phase, fraction: None)
    assert not engine.healthy
    with pytest.raises(ModelUnavailable):
        await engine.generate(a_request())
    await engine.stop()


async def test_progress_is_reported_while_loading() -> None:
    seen: list[tuple[str, float]] = []
    engine = new_engine()
    await engine.start(lambda phase, fraction: seen.append((phase, fraction)))
    await engine.stop()
    assert seen == [("weights", 0.0), ("weights", 1.0)]


async def test_all_tokens_of_a_step_reach_the_event_loop_in_one_call(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await start_engine(step_seconds=0.001)
    loop = asyncio.get_running_loop()
    calls = 0
    original = loop.call_soon_threadsafe

    def counting(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        return original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    generations = [await engine.generate(a_request(50)) for _ in range(2)]
    steps = engine.load.steps
    for generation in generations:
        assert len([delta async for delta in generation]) == 50
    assert calls <= engine.load.steps - steps + 1


async def test_a_slow_reader_loses_nothing(start_engine: StartEngine) -> None:
    engine = await start_engine(script="abc")
    slow = await engine.generate(a_request(6))
    async with asyncio.timeout(30):
        while engine.load.running or engine.load.steps < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    tokens = [token async for delta in slow for token in delta.token_ids]
    assert bytes(tokens) == b"abcabc"
