"""The same request gives the same tokens alone, batched, cold, warm, drafted and restored.

On the tiny model in float32, whose kernels do not depend on the shape of a batch beyond the last
digits, and whose answers have clear margins.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path

import pytest

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig, GenerationRequest, SamplingParams
from codeserve.model_specs.segments import Control, Text
from tests.models.corpus import CompletionExample, held_out

BOS = "<｜begin▁of▁sentence｜>"
F32 = {"type_k": "f32", "type_v": "f32", "flash_attn": "on", "tune": False, "n_threads": 2}
StartEngine = Callable[..., Awaitable[Engine]]
Answer = tuple[list[int], int]


@pytest.fixture
async def start_engine(tiny_deepseek_gguf: Path) -> AsyncIterator[StartEngine]:
    """Starts engines that are stopped when the test ends."""
    async with AsyncExitStack() as resources:

        async def start(
            path: Path = tiny_deepseek_gguf, concurrency: int = 8, **options: object
        ) -> Engine:
            config = EngineConfig(
                engine="llama.cpp",
                path=str(path),
                context_length=512,
                max_concurrency=concurrency,
                options=F32 | options,
            )
            engine = registry.create(config)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        yield start


def prompts(engine: Engine, count: int) -> list[tuple[int, ...]]:
    """Completion prompts behind a beginning that all share."""
    examples = (e for e in held_out("completion") if isinstance(e, CompletionExample))
    texts = [example.prompt for example in islice(examples, count + 3)]
    shared = "\n\n".join(texts[:3]) + "\n\n"
    encode = engine.tokenizer.encode
    return [tuple(encode([Control(BOS), Text(shared + text)])) for text in texts[3:]]


async def answer(
    engine: Engine, prompt: tuple[int, ...], max_tokens: int = 48, **sampling: object
) -> Answer:
    """The tokens, and how many of the prompt were cached."""
    request = GenerationRequest(
        id="r",
        prompt_ids=prompt,
        max_tokens=max_tokens,
        stop_ids=engine.info.variant.stop_ids,
        sampling=SamplingParams(**({"temperature": 0.0} | sampling)),  # type: ignore[arg-type]
    )
    tokens: list[int] = []
    cached = 0
    async for delta in await engine.generate(request):
        tokens += delta.token_ids
        cached += delta.cached_tokens
    return tokens, cached


def overwrite_files(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for file in files:
        file.write_bytes(b"x" * file.stat().st_size)


async def alone(engine: Engine, prompts: list[tuple[int, ...]]) -> list[Answer]:
    return [await answer(engine, prompt) for prompt in prompts]


async def test_cold_warm_and_batched_answers_are_equal(start_engine: StartEngine) -> None:
    engine = await start_engine(draft=False)
    asked = prompts(engine, 8)
    cold = [await answer(await start_engine(draft=False), prompt) for prompt in asked[:3]]
    warm = await alone(engine, asked)
    warmer = await alone(engine, asked)
    batched = await asyncio.gather(*[answer(await start_engine(), p) for p in asked[:1]])
    together = await asyncio.gather(*[answer(engine, prompt) for prompt in asked])

    assert [tokens for tokens, _ in cold] == [tokens for tokens, _ in warm[:3]]
    assert [tokens for tokens, _ in warm] == [tokens for tokens, _ in warmer]
    assert [tokens for tokens, _ in warm] == [tokens for tokens, _ in together]
    assert batched[0][0] == warm[0][0]
    assert [cached for _, cached in cold] == [0, 0, 0]
    assert all(cached > 20 for _, cached in warm[1:])
    assert [cached for _, cached in warmer] == [len(prompt) - 1 for prompt in asked]


async def test_requests_at_once_share_their_beginning(start_engine: StartEngine) -> None:
    engine = await start_engine(draft=False)
    asked = prompts(engine, 8)
    answers = await asyncio.gather(*[answer(engine, prompt) for prompt in asked])
    fresh = await start_engine(draft=False)
    assert [tokens for tokens, _ in answers] == [tokens for tokens, _ in await alone(fresh, asked)]
    assert sum(cached > 20 for _, cached in answers) == 7


@pytest.mark.parametrize("temperature", [0.0, 0.8])
async def test_drafts_do_not_change_what_is_chosen(
    start_engine: StartEngine, temperature: float
) -> None:
    plain = await start_engine(draft=False)
    drafting = await start_engine(draft=True)
    repetitive = prompts(plain, 1)[0] * 3
    sampling = {"temperature": temperature, "seed": 5, "repetition_penalty": 1.01}
    expected, _ = await answer(plain, repetitive, 120, **sampling)
    steps = drafting.load.steps
    drafted, _ = await answer(drafting, repetitive, 120, **sampling)
    assert drafted == expected
    assert temperature or drafting.load.steps - steps < plain.load.steps


async def test_a_prefix_from_host_memory_gives_the_same_answer(start_engine: StartEngine) -> None:
    engine = await start_engine(concurrency=1, draft=False, cache_host_mib=64)
    first, *others = prompts(engine, 12)
    expected, _ = await answer(engine, first)
    for other in others:
        await answer(engine, tuple(reversed(other)), 2)
    again, cached = await answer(engine, first)
    assert again == expected
    assert cached >= 64


async def test_a_restarted_engine_answers_from_disk(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    options = {"draft": False, "cache_disk": str(tmp_path / "prefixes")}
    engine = await start_engine(**options)
    prompt = prompts(engine, 1)[0]
    expected, _ = await answer(engine, prompt)
    await engine.stop()

    restarted = await start_engine(**options)
    again, cached = await answer(restarted, prompt)
    assert again == expected
    assert cached >= 64

    await restarted.stop()
    overwrite_files(tmp_path)
    corrupted = await start_engine(**options)
    assert await answer(corrupted, prompt) == (expected, 0)


async def test_deterministic_answers_do_not_depend_on_what_else_runs(
    start_engine: StartEngine, smollm2_path: Path
) -> None:
    """On quantised kernels, which round differently for different batch shapes."""
    engine = await start_engine(
        smollm2_path, deterministic=True, type_k="f16", type_v="f16", n_batch=64
    )
    encode = engine.tokenizer.encode
    asked = [tuple(encode([Text(f"{n} {'and so on ' * 20}the story of")])) for n in range(6)]
    by_itself = await alone(engine, asked)
    together = await asyncio.gather(*[answer(engine, prompt) for prompt in asked])
    assert together == by_itself
    assert {cached for _, cached in together} == {0}


async def test_2000_random_requests_with_cancels_leave_nothing_behind(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(cache_host_mib=8)
    pool = prompts(engine, 16)
    chance = random.Random(1)
    gate = asyncio.Semaphore(12)
    expected = {prompt: (await answer(engine, prompt, 8))[0] for prompt in pool}
    wrong = []

    async def one() -> None:
        prompt = chance.choice(pool)
        cut = chance.choice([0, 0, 0, 1, 3])
        async with gate:
            if cut == 0 and chance.random() < 0.5:
                tokens, _ = await answer(engine, prompt, 8)
                if tokens != expected[prompt]:
                    wrong.append(prompt)
                return
            end = chance.randrange(2, len(prompt))
            request = GenerationRequest(
                id="r", prompt_ids=prompt[:end], max_tokens=4, stop_ids=frozenset()
            )
            generation = await engine.generate(request)
            for _ in range(cut):
                await anext(generation, None)
            await generation.aclose()

    await asyncio.gather(*[one() for _ in range(2000)])
    assert wrong == []
    async with asyncio.timeout(60):
        while engine.load.running or engine.load.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert engine.healthy


async def test_a_draft_model_does_not_change_what_is_chosen(
    start_engine: StartEngine, tiny_deepseek_gguf: Path
) -> None:
    plain = await start_engine(draft=False)
    drafting = await start_engine(draft_model=str(tiny_deepseek_gguf))
    asked = prompts(plain, 4)
    expected = await asyncio.gather(*[answer(plain, prompt) for prompt in asked])
    drafted = await asyncio.gather(*[answer(drafting, prompt) for prompt in asked])
    assert [tokens for tokens, _ in drafted] == [tokens for tokens, _ in expected]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draft_model": "nowhere.gguf"}, "nowhere.gguf does not exist"),
        ({"draft_model": "SMOLLM2"}, "vocabulary of 49152 tokens, but the model has 32256"),
        ({"draft_model": "SMOLLM2", "draft": False}, "draft_model needs drafting"),
        ({"draft_model": "SMOLLM2", "deterministic": True}, "draft_model needs drafting"),
        ({"cache_disk": "/proc/nowhere"}, "cache_disk: /proc/nowhere.* cannot be used"),
    ],
)
async def test_options_that_cannot_be_had_are_refused(
    start_engine: StartEngine, smollm2_path: Path, options: dict[str, object], message: str
) -> None:
    real = {k: str(smollm2_path) if v == "SMOLLM2" else v for k, v in options.items()}
    with pytest.raises(ModelLoadError, match=message):
        await start_engine(**real)


async def test_prompt_scores_are_those_of_the_tokens_if_they_were_sampled(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(n_batch=512)
    prompt = (prompts(engine, 1)[0] * 5)[:150]
    stop_ids: frozenset[int] = frozenset()
    request = GenerationRequest(
        id="r", prompt_ids=prompt, max_tokens=1, stop_ids=stop_ids, prompt_logprobs=0
    )
    (whole,) = [delta async for delta in await engine.generate(request)]
    for length in (1, 2, 40, 41, 80, 149):
        request = GenerationRequest(
            id="r",
            prompt_ids=prompt[:length],
            max_tokens=1,
            stop_ids=stop_ids,
            logprobs=engine.info.vocab_size,
        )
        (delta,) = [delta async for delta in await engine.generate(request)]
        expected = dict(delta.scores[0].top)[prompt[length]]
        assert whole.prompt_scores[length - 1].logprob == pytest.approx(expected, abs=1e-4)


async def test_prefixes_are_shared_among_requests_of_the_same_salt_only(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(draft=False)
    (prompt,) = prompts(engine, 1)

    async def cached(salt: str) -> int:
        request = GenerationRequest(
            id="r", prompt_ids=prompt, max_tokens=2, stop_ids=frozenset(), cache_salt=salt
        )
        return sum([delta.cached_tokens async for delta in await engine.generate(request)])

    assert [await cached(salt) for salt in ("", "a", "b")] == [0, 0, 0]
    assert [await cached(salt) for salt in ("", "a", "b")] == [len(prompt) - 1] * 3


async def test_salted_requests_at_once_do_not_wait_for_one_another(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(draft=False)
    (prompt,) = prompts(engine, 1)

    async def cached(salt: str) -> int:
        request = GenerationRequest(
            id=salt, prompt_ids=prompt, max_tokens=20, stop_ids=frozenset(), cache_salt=salt
        )
        return sum([delta.cached_tokens async for delta in await engine.generate(request)])

    assert await asyncio.gather(*map(cached, "aabb")) == [0, len(prompt) - 1] * 2
