import asyncio

import pytest

from codeserve.engines.errors import EngineRestarted, QueueFull
from codeserve.engines.types import FinishReason, TextDelta, Usage
from codeserve.engines.worker.stream import TextStream

LAST = TextDelta(
    text="!", token_ids=(3,), finish_reason=FinishReason.STOP, stop_reason=3, usage=Usage(1, 0, 3)
)


@pytest.fixture
def abandoned() -> list[str]:
    return []


@pytest.fixture
async def stream(abandoned: list[str]) -> TextStream:
    return TextStream("7", abandoned.append)


async def test_deltas_that_wait_are_merged(stream: TextStream) -> None:
    stream.put(TextDelta(text="a", token_ids=(1,)))
    stream.put(TextDelta(text="b", token_ids=(2,)))
    stream.put(LAST)
    assert [delta async for delta in stream] == [
        TextDelta(
            text="ab!",
            token_ids=(1, 2, 3),
            finish_reason=FinishReason.STOP,
            stop_reason=3,
            usage=Usage(1, 0, 3),
        )
    ]


async def test_merged_deltas_say_what_the_first_said_of_its_start(stream: TextStream) -> None:
    stream.put(TextDelta(token_ids=(1,), queued_seconds=0.5, cached_tokens=7))
    stream.put(TextDelta(token_ids=(2,)))
    merged = await anext(stream)
    assert (merged.queued_seconds, merged.cached_tokens) == (0.5, 7)
    stream.put(LAST)
    assert (await anext(stream)).queued_seconds is None


async def test_a_reader_that_keeps_up_gets_each_delta(stream: TextStream) -> None:
    first = TextDelta(text="a", token_ids=(1,))
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream.put(first)
    assert await reading == first
    stream.put(LAST)
    assert [delta async for delta in stream] == [LAST]


async def test_an_error_comes_after_the_text_that_had_arrived(stream: TextStream) -> None:
    stream.accept(5)
    stream.put(TextDelta(text="a", token_ids=(1,)))
    stream.fail(EngineRestarted("gone"))
    assert (await anext(stream)).text == "a"
    with pytest.raises(EngineRestarted):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_refusal_is_raised_before_any_delta(stream: TextStream) -> None:
    stream.fail(QueueFull("full"))
    with pytest.raises(QueueFull):
        await stream.accepted()


async def test_closing_abandons_the_request_and_ends_the_iteration(
    stream: TextStream, abandoned: list[str]
) -> None:
    stream.accept(5)
    stream.put(TextDelta(text="a", token_ids=(1,)))
    await stream.aclose()
    assert abandoned == ["7"]
    assert [delta async for delta in stream] == []
