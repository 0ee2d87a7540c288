import asyncio

import pytest

from codeserve.engines.batching.admission import QueueLimits
from codeserve.engines.batching.lane_queue import HANDICAPS
from codeserve.engines.errors import DeadlineExceeded, ModelUnavailable, QueueFull
from codeserve.engines.types import GenerationRequest, Lane
from codeserve.engines.vllm.slots import Slots


def slots(running: int = 1, waiting: int = 9, waiting_tokens: int | None = None) -> Slots:
    return Slots(QueueLimits(running, waiting, waiting_tokens))


def a_request(
    lane: Lane = Lane.NORMAL, tokens: int = 1, queue_timeout: float | None = None
) -> GenerationRequest:
    return GenerationRequest(
        id="r",
        prompt_ids=(1,) * tokens,
        max_tokens=1,
        stop_ids=frozenset(),
        lane=lane,
        queue_timeout=queue_timeout,
    )


async def test_a_slot_that_is_left_goes_to_the_next_in_its_order() -> None:
    some = slots()
    running = some.enter(a_request())
    batch, hasty = some.enter(a_request(Lane.BATCH)), some.enter(a_request(Lane.INTERACTIVE))
    assert not running.is_queued
    assert some.queued == [batch, hasty]
    some.leave(running)
    assert some.queued == [batch]
    await some.wait(hasty)
    assert some.running == 1


async def test_a_lane_is_overtaken_for_a_bounded_amount_of_work() -> None:
    some = slots()
    running, batch = some.enter(a_request()), some.enter(a_request(Lane.BATCH))
    some.count(HANDICAPS[Lane.BATCH] + 1)
    late = some.enter(a_request(Lane.INTERACTIVE))
    some.leave(running)
    assert some.queued == [late]
    assert some.due(batch) < some.due(late)


async def test_the_prompts_that_may_wait_are_bounded() -> None:
    some = slots(waiting_tokens=100)
    some.enter(a_request(tokens=500))
    waiting = some.enter(a_request(tokens=60))
    with pytest.raises(QueueFull, match="max_waiting_tokens"):
        some.enter(a_request(tokens=41))
    some.leave(waiting)
    some.enter(a_request(tokens=41))


async def test_the_queue_timeout_ends_with_the_slot() -> None:
    some = slots()
    running, late = some.enter(a_request()), some.enter(a_request(queue_timeout=0.01))
    in_time = some.enter(a_request(queue_timeout=60))
    with pytest.raises(DeadlineExceeded, match="queue_timeout"):
        await some.wait(late)
    some.leave(late)
    some.leave(running)
    await some.wait(in_time)
    assert in_time.queued_seconds is not None
    assert in_time.queued_seconds >= 0.01


async def test_who_waits_when_the_model_goes_is_told() -> None:
    some = slots()
    some.enter(a_request())
    waiting = some.enter(a_request())
    told = asyncio.create_task(some.wait(waiting))
    await asyncio.sleep(0)
    some.close("The model was unloaded.")
    with pytest.raises(ModelUnavailable, match="unloaded"):
        await told
