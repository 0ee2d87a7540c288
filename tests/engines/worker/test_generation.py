from collections.abc import AsyncIterator, Callable

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ContextLengthExceeded, InvalidRequest
from codeserve.engines.types import EngineConfig, FinishReason, TextDelta, TextRequest, Usage
from codeserve.engines.worker.generation import Generation
from codeserve.model_specs.segments import Control

SCRIPT = "one two three "

Ask = Callable[..., TextRequest]


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = registry.create(
        EngineConfig(engine="fake", path="/nowhere", context_length=32, options={"script": SCRIPT})
    )
    await engine.start(lambda phase, fraction: None)
    yield engine
    await engine.stop()


async def all_of(engine: Engine, request: TextRequest) -> tuple[str, TextDelta]:
    """The whole text and the last delta."""
    generation = await Generation.start(engine, request)
    deltas = [delta async for delta in generation.deltas()]
    return "".join(delta.text for delta in deltas), deltas[-1]


async def test_max_tokens_ends_with_length_and_the_usage(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask("hello", max_tokens=7))
    assert text == "one two"
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage == Usage(prompt_tokens=5, cached_tokens=0, completion_tokens=7)


@pytest.mark.parametrize("max_tokens", [None, 28, 1000])
async def test_a_generation_never_leaves_the_context(
    engine: Engine, ask: Ask, max_tokens: int | None
) -> None:
    _, last = await all_of(engine, ask("hello", max_tokens=max_tokens))
    assert last.finish_reason is FinishReason.LENGTH
    assert last.usage == Usage(prompt_tokens=5, cached_tokens=0, completion_tokens=27)


@pytest.mark.parametrize("length", [32, 33])
async def test_a_prompt_that_fills_the_context_is_refused_with_both_numbers(
    engine: Engine, ask: Ask, length: int
) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"length is 32 .* in {length} tokens"):
        await Generation.start(engine, ask("x" * length))


async def test_a_prompt_that_leaves_room_for_one_token_gets_one(engine: Engine, ask: Ask) -> None:
    text, _ = await all_of(engine, ask("x" * 31))
    assert text == "o"


async def test_an_empty_prompt_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        await Generation.start(engine, ask(""))


async def test_a_prompt_of_one_control_token_is_not_empty(engine: Engine) -> None:
    text, _ = await all_of(engine, TextRequest(id="1", prompt=(Control("<bos>"),), max_tokens=3))
    assert text == "one"


async def test_no_tokens_to_generate_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="max_tokens must be at least 1"):
        await Generation.start(engine, ask(max_tokens=0))


async def test_a_stop_string_ends_the_text_before_it(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask(stop=("two t", "three")))
    assert text == "one "
    assert last.finish_reason is FinishReason.STOP
    assert last.stop_reason == "two t"


async def test_the_slot_is_free_when_a_stop_string_has_ended_the_text(
    engine: Engine, ask: Ask
) -> None:
    await all_of(engine, ask(stop=("two",)))
    assert engine.load.waiting == 0


async def test_text_held_back_for_a_stop_string_is_not_lost(engine: Engine, ask: Ask) -> None:
    text, last = await all_of(engine, ask(max_tokens=7, stop=("two four",)))
    assert text == "one two"
    assert last.finish_reason is FinishReason.LENGTH
    assert last.stop_reason is None


async def test_an_empty_stop_string_is_refused(engine: Engine, ask: Ask) -> None:
    with pytest.raises(InvalidRequest, match="stop string"):
        await Generation.start(engine, ask(stop=("",)))
