"""What every engine promises of the life of a request, shown on each of them."""

import asyncio
from typing import Any

import pytest

from codeserve.engines.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    InvalidRequest,
    ModelUnavailable,
    QueueFull,
)
from codeserve.engines.types import FinishReason, Lane, SamplingParams
from tests.engines.contract import CONTEXT, StartEngine, a_request, deltas_of, idle, tokens_of
from tests.eventually import eventually


async def test_a_generation_ends_with_one_terminal_delta(start_engine: StartEngine) -> None:
    engine = await start_engine()
    deltas = await deltas_of(engine, a_request(engine, max_tokens=5))

    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert sum(len(delta.token_ids) for delta in deltas) == 5


async def test_a_stop_id_ends_a_generation_and_is_its_last_token(start_engine: StartEngine) -> None:
    engine = await start_engine()
    free = await tokens_of(engine, a_request(engine, max_tokens=12))
    stop = free[6]
    first = free.index(stop)

    deltas = await deltas_of(engine, a_request(engine, max_tokens=12, stop_ids=frozenset({stop})))
    assert [token for delta in deltas for token in delta.token_ids] == free[: first + 1]
    assert deltas[-1].finish_reason is FinishReason.STOP


async def test_the_event_loop_runs_on_while_the_engine_computes(start_engine: StartEngine) -> None:
    engine = await start_engine()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    before = engine.load.steps
    await tokens_of(engine, a_request(engine, "w " * 200, max_tokens=4))
    ticker.cancel()
    assert engine.load.steps - before > 5
    assert ticks > 10 * (engine.load.steps - before)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"prompt_ids": ()}, InvalidRequest, "no tokens"),
        ({"prompt_ids": (0, -1)}, InvalidRequest, "token id -1 is outside"),
        ({"prompt_ids": (10**6,)}, InvalidRequest, "token id 1000000 is outside"),
        ({"prompt_ids": (5,) * CONTEXT}, ContextLengthExceeded, "512 tokens.*512 tokens"),
        ({"max_tokens": 0}, InvalidRequest, "max_tokens is 0"),
        ({"max_tokens": CONTEXT}, InvalidRequest, "max_tokens is 512"),
        ({"sampling": SamplingParams(logit_bias={10**6: 1.0})}, InvalidRequest, "logit_bias"),
        ({"sampling": SamplingParams(logit_bias={1: float("inf")})}, InvalidRequest, "logit_bias"),
        ({"sampling": SamplingParams(temperature=float("nan"))}, InvalidRequest, "temperature"),
        ({"sampling": SamplingParams(temperature=-1.0)}, InvalidRequest, "temperature"),
        ({"sampling": SamplingParams(repetition_penalty=0.0)}, InvalidRequest, "repetition"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused_before_the_first_delta(
    start_engine: StartEngine,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    engine = await start_engine()
    with pytest.raises(error, match=message):
        await engine.generate(a_request(engine, **changes))
    assert (engine.load.running, engine.load.waiting) == (0, 0)


async def test_one_request_more_than_may_wait_is_refused(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    accepted = [await engine.generate(a_request(engine, max_tokens=100)) for _ in range(4)]
    with pytest.raises(QueueFull) as caught:
        await engine.generate(a_request(engine))
    assert caught.value.retry_after is not None

    await accepted[1].aclose()
    accepted.append(await engine.generate(a_request(engine)))
    for generation in accepted:
        await generation.aclose()


async def test_a_generation_that_is_closed_before_its_first_token_is_not_computed(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    await tokens_of(engine, a_request(engine))
    before = engine.load.steps
    for _ in range(3):
        await (await engine.generate(a_request(engine, max_tokens=400))).aclose()
    await tokens_of(engine, a_request(engine))
    assert engine.load.steps - before < 400


async def test_closing_a_queued_generation_takes_it_out_of_the_queue(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    running = await engine.generate(a_request(engine, max_tokens=400))
    await anext(running)
    queued = await engine.generate(a_request(engine))
    assert (engine.load.running, engine.load.waiting) == (1, 1)

    await queued.aclose()
    await idle(engine, running=1)
    await running.aclose()
    await idle(engine)


@pytest.mark.parametrize("tokens_read", [0, 1, 3])
async def test_closing_a_generation_frees_its_slot_within_one_step(
    start_engine: StartEngine, tokens_read: int
) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    generation = await engine.generate(a_request(engine, "w " * 200, max_tokens=100))
    await idle(engine, running=1)
    for _ in range(tokens_read):
        await anext(generation)

    steps = engine.load.steps
    await generation.aclose()
    await idle(engine)
    assert engine.load.steps <= steps + 1
    assert len(await tokens_of(engine, a_request(engine))) == 8


async def test_a_cancelled_reader_frees_its_slot(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    reader = asyncio.create_task(tokens_of(engine, a_request(engine, max_tokens=400)))
    await idle(engine, running=1)
    reader.cancel()
    await asyncio.wait([reader])
    await idle(engine)


async def test_200_start_and_cancel_cycles_leave_every_slot_free(start_engine: StartEngine) -> None:
    engine = await start_engine()
    request = a_request(engine, "word " * 20, max_tokens=100)
    for cycle in range(200):
        generation = await engine.generate(request)
        if cycle % 20 == 0:
            await anext(generation)
        await generation.aclose()
    await idle(engine)
    assert len(await asyncio.gather(*[tokens_of(engine, a_request(engine)) for _ in range(8)])) == 8
    await idle(engine)


async def test_a_generation_that_is_dropped_frees_its_slot(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    generation = await engine.generate(a_request(engine, max_tokens=400))
    await idle(engine, running=1)
    del generation
    await idle(engine)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_the_same_seed_gives_the_same_tokens_when_repeated(
    start_engine: StartEngine, temperature: float
) -> None:
    engine = await start_engine()
    sampling = SamplingParams(temperature=temperature, seed=-(2**40) - 3)
    first, second = [
        await tokens_of(engine, a_request(engine, max_tokens=24, sampling=sampling))
        for _ in range(2)
    ]
    assert first == second


async def test_more_requests_than_slots_are_all_answered(start_engine: StartEngine) -> None:
    engine = await start_engine()
    lengths = [1 + 3 * n for n in range(9)]
    requests = [a_request(engine, "word " * (40 - n), max_tokens=n, id=str(n)) for n in lengths]
    answers = await asyncio.gather(*[tokens_of(engine, request) for request in requests])
    assert [len(answer) for answer in answers] == lengths
    await idle(engine)


async def test_info_and_load_describe_the_engine(
    start_engine: StartEngine, engine_name: str
) -> None:
    engine = await start_engine()
    info = engine.info
    assert (info.engine, info.context_length, info.max_concurrency) == (engine_name, CONTEXT, 2)
    assert (info.device, info.repairs) == ("cpu", ())
    assert info.engine_version
    assert (engine.load.running, engine.load.waiting) == (0, 0)


async def test_the_load_counts_what_the_kv_cache_holds_and_finds(
    start_engine: StartEngine, engine_name: str
) -> None:
    engine = await start_engine()
    # More than a block of vLLM's cache, less than the context of the fake engine's byte tokens.
    words = 50 if engine_name == "fake" else 90
    request = a_request(engine, "count me " * words, max_tokens=40)
    running = await engine.generate(request)
    await eventually(lambda: engine.load.kv_tokens_running > 0)
    assert engine.load.kv_tokens_running <= engine.load.kv_tokens_used <= engine.load.kv_tokens
    await running.aclose()
    await idle(engine)
    await eventually(lambda: engine.load.kv_tokens_running == 0)

    await tokens_of(engine, request)
    before, prompt = engine.load, len(request.prompt_ids)
    await tokens_of(engine, request)
    await eventually(lambda: engine.load.prefix_queries == before.prefix_queries + prompt)
    assert prompt / 2 < engine.load.prefix_hits - before.prefix_hits < prompt


async def test_the_load_tells_how_much_waits_and_how_long(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    request = a_request(engine, max_tokens=400)
    running = await engine.generate(request)
    await anext(running)
    queued = await engine.generate(request)
    first = engine.load
    assert (first.waiting, first.waiting_tokens) == (1, len(request.prompt_ids))
    await eventually(lambda: engine.load.oldest_wait > first.oldest_wait)
    await queued.aclose()
    await running.aclose()
    await idle(engine)
    assert (engine.load.waiting_tokens, engine.load.oldest_wait) == (0, 0.0)


async def test_the_lower_priority_number_is_served_first(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    order: list[str] = []

    async def serve(name: str, priority: int) -> None:
        async for _ in await engine.generate(a_request(engine, id=name, priority=priority)):
            pass
        order.append(name)

    running = asyncio.create_task(serve("running", 0))
    await idle(engine, running=1)
    names = {"last": 5, "second": 1, "first": -1}
    await asyncio.gather(running, *(serve(name, number) for name, number in names.items()))
    assert order == ["running", "first", "second", "last"]


async def test_a_better_lane_is_served_first(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    order: list[Lane] = []

    async def serve(lane: Lane) -> None:
        request = a_request(engine, id=lane.name, lane=lane, priority=-lane)
        async for _ in await engine.generate(request):
            pass
        order.append(lane)

    running = await engine.generate(a_request(engine, max_tokens=100))
    await idle(engine, running=1)
    waiting = [asyncio.create_task(serve(lane)) for lane in reversed(Lane)]
    await eventually(lambda: engine.load.waiting == len(waiting))
    await running.aclose()
    await asyncio.gather(*waiting)
    assert order == list(Lane)


async def test_who_gets_no_slot_in_time_is_told_and_leaves(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    running = await engine.generate(a_request(engine, max_tokens=400))
    await anext(running)
    late = await engine.generate(a_request(engine, id="late", queue_timeout=0.01))
    with pytest.raises(DeadlineExceeded, match="queue_timeout"):
        await anext(late)
    await idle(engine, running=1)
    await running.aclose()
    assert len(await tokens_of(engine, a_request(engine, queue_timeout=60))) == 8


async def test_stopping_ends_every_generation_with_an_error(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1, max_waiting=3)
    request = a_request(engine, max_tokens=400)
    running = await engine.generate(request)
    await anext(running)
    queued = await engine.generate(request)
    assert engine.healthy

    await engine.stop()
    for generation in (running, queued):
        with pytest.raises(ModelUnavailable):
            [delta async for delta in generation]
    assert not engine.healthy
    with pytest.raises(ModelUnavailable):
        await engine.generate(request)
