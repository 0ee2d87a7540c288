"""What every engine promises, shown on each of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelUnavailable,
    QueueFull,
)
from codeserve.engines.types import (
    EngineConfig,
    FinishReason,
    GenerationRequest,
    Grammar,
    GrammarKind,
    SamplingParams,
    TokenDelta,
)
from codeserve.model_specs.segments import Text

CONTEXT = 512
StartEngine = Callable[..., Awaitable[Engine]]

OPTIONS: dict[str, dict[str, Any]] = {
    "llama.cpp": {"n_batch": 16, "tune": False},
    "fake": {"step_seconds": 0.001},
}


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
    engine = await start_engine(max_concurrency=1, max_waiting=2)
    accepted = [await engine.generate(a_request(engine, max_tokens=100)) for _ in range(3)]
    with pytest.raises(QueueFull) as caught:
        await engine.generate(a_request(engine))
    assert caught.value.retry_after is not None

    await accepted[1].aclose()
    accepted.append(await engine.generate(a_request(engine)))
    for generation in accepted:
        await generation.aclose()


async def test_closing_a_queued_generation_takes_it_out_of_the_queue(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(max_concurrency=1)
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
    engine = await start_engine(max_concurrency=1)
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
    engine = await start_engine(max_concurrency=1)
    reader = asyncio.create_task(tokens_of(engine, a_request(engine, max_tokens=400)))
    await idle(engine, running=1)
    reader.cancel()
    await asyncio.wait([reader])
    await idle(engine)


async def test_200_start_and_cancel_cycles_leave_every_slot_free(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=4)
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
    engine = await start_engine(max_concurrency=1)
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
    engine = await start_engine(max_concurrency=3)
    lengths = [1 + 3 * n for n in range(9)]
    requests = [a_request(engine, "word " * (40 - n), max_tokens=n, id=str(n)) for n in lengths]
    answers = await asyncio.gather(*[tokens_of(engine, request) for request in requests])
    assert [len(answer) for answer in answers] == lengths
    await idle(engine)


async def test_stopping_ends_every_generation_with_an_error(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1)
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


async def test_info_and_load_describe_the_engine(
    start_engine: StartEngine, engine_name: str
) -> None:
    engine = await start_engine(max_concurrency=3)
    info = engine.info
    assert (info.engine, info.context_length, info.max_concurrency) == (engine_name, CONTEXT, 3)
    assert (info.device, info.repairs) == ("cpu", ())
    assert info.engine_version
    assert (engine.load.running, engine.load.waiting, engine.load.steps) == (0, 0, 0)


async def test_every_sampled_token_is_scored_on_request(start_engine: StartEngine) -> None:
    engine = await start_engine()
    deltas = await deltas_of(engine, a_request(engine, logprobs=3))
    tokens = [token for delta in deltas for token in delta.token_ids]
    scores = [score for delta in deltas for score in delta.scores]
    assert len(scores) == len(tokens) == 8
    for token, score in zip(tokens, scores, strict=True):
        assert (score.rank, score.top[0]) == (1, (token, score.logprob)), "greedy takes the best"
        assert len(score.top) == 3
        assert [logprob for _, logprob in score.top] == sorted(dict(score.top).values())[::-1]
        assert score.logprob <= 0


async def test_scores_are_those_of_the_model_whatever_is_ruled_out(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    (free, *_) = await deltas_of(engine, a_request(engine, max_tokens=1, logprobs=2))
    (second, logprob) = free.scores[0].top[1]
    sampling = SamplingParams(temperature=0.0, allowed_ids=(second,))
    request = a_request(engine, max_tokens=1, logprobs=2, sampling=sampling)
    (forced, *_) = await deltas_of(engine, request)
    assert forced.token_ids == (second,)
    assert forced.scores[0].rank == 2
    assert forced.scores[0].logprob == pytest.approx(logprob, abs=1e-3)


async def test_a_prompt_is_scored_from_its_second_token_on(start_engine: StartEngine) -> None:
    engine = await start_engine()
    text = "The quick brown fox jumps over the lazy dog. " * 4
    plain = a_request(engine, text, max_tokens=2)
    await deltas_of(engine, plain)
    request = a_request(engine, text, max_tokens=2, prompt_logprobs=1, logprobs=0)
    first, *_ = deltas = await deltas_of(engine, request)
    assert len(first.prompt_scores) == len(request.prompt_ids) - 1
    assert first.cached_tokens == 0, "what is cached has no logits"
    assert all(score.logprob < 0 and len(score.top) == 1 for score in first.prompt_scores)
    assert not any(delta.prompt_scores for delta in deltas[1:])
    assert all(score.top == () for delta in deltas for score in delta.scores)


async def test_nothing_is_scored_that_nobody_asked_for(start_engine: StartEngine) -> None:
    engine = await start_engine()
    deltas = await deltas_of(engine, a_request(engine))
    assert not any(delta.scores or delta.prompt_scores for delta in deltas)


async def test_ids_that_are_ruled_out_are_not_sampled(start_engine: StartEngine) -> None:
    engine = await start_engine()
    likeliest, *_ = await tokens_of(engine, a_request(engine))
    request = a_request(engine, never_ids=frozenset({likeliest}))
    assert likeliest not in await tokens_of(engine, request)
    request = a_request(
        engine, sampling=SamplingParams(temperature=0.0, allowed_ids=(7, 9)), max_tokens=4
    )
    assert set(await tokens_of(engine, request)) <= {7, 9}


async def test_no_generation_ends_before_its_least_number_of_tokens(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine()
    likeliest, *_ = await tokens_of(engine, a_request(engine))
    sampling = SamplingParams(temperature=0.0, min_tokens=3)
    request = a_request(engine, stop_ids=frozenset({likeliest}), sampling=sampling)
    tokens = await tokens_of(engine, request)
    assert len(tokens) > 3
    assert likeliest not in tokens[:3]


async def test_the_lower_priority_number_is_served_first(start_engine: StartEngine) -> None:
    engine = await start_engine(max_concurrency=1)
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


def a_constrained_request(engine: Engine, kind: GrammarKind, source: str) -> GenerationRequest:
    return a_request(
        engine,
        max_tokens=250,
        stop_ids=engine.info.variant.stop_ids,
        sampling=SamplingParams(temperature=0.0, grammar=Grammar(kind, source)),
    )


@pytest.mark.parametrize(
    ("kind", "source", "form"),
    [
        (GrammarKind.REGEX, "[0-9]{3}-[a-f]{2}", r"[0-9]{3}-[a-f]{2}"),
        (GrammarKind.CHOICE, '["alpha", "beta"]', "alpha|beta"),
        (GrammarKind.GBNF, 'root ::= "(" [xy]+ ")"', r"\([xy]+\)?"),
        (GrammarKind.LARK, 'start: "a" B\nB: /b{2,5}/', "ab{2,5}"),
        (
            GrammarKind.JSON_SCHEMA,
            '{"type":"object","properties":{"n":{"enum":[1,2]}},"required":["n"],'
            '"additionalProperties":false}',
            r'\{\s*"n"\s*:\s*[12]\s*\}',
        ),
    ],
)
async def test_an_output_has_the_form_that_is_prescribed(
    start_engine: StartEngine, kind: GrammarKind, source: str, form: str
) -> None:
    engine = await start_engine()
    tokens = await tokens_of(engine, a_constrained_request(engine, kind, source))
    text = engine.tokenizer.decode(tokens)
    assert re.fullmatch(form, text), text


async def test_forms_differ_between_requests_that_run_together(start_engine: StartEngine) -> None:
    engine = await start_engine()
    requests = [
        a_constrained_request(engine, GrammarKind.REGEX, f"{letter}{{5}}") for letter in "abcd"
    ]
    tokens = await asyncio.gather(*(tokens_of(engine, request) for request in requests))
    assert [engine.tokenizer.decode(ids) for ids in tokens] == [c * 5 for c in "abcd"]


async def test_a_grammar_that_cannot_be_used_is_refused(start_engine: StartEngine) -> None:
    engine = await start_engine()
    with pytest.raises(InvalidRequest, match="regular expression cannot be used"):
        await engine.generate(a_constrained_request(engine, GrammarKind.REGEX, "("))
    assert engine.healthy
    assert engine.load.waiting == 0


async def test_rules_that_leave_no_token_end_their_request_alone(start_engine: StartEngine) -> None:
    engine = await start_engine()
    other = asyncio.create_task(tokens_of(engine, a_request(engine, max_tokens=30)))
    sampling = SamplingParams(allowed_ids=(7,))
    request = a_request(engine, never_ids=frozenset({7}), sampling=sampling)
    with pytest.raises(InvalidRequest, match="leave no token"):
        await tokens_of(engine, request)
    assert len(await other) == 30
    await idle(engine)
