"""The whole engine: the same request gives the same tokens as the library's own generation, alone
and among others, cold, from the cache, from the disk and drafted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import (
    EngineConfig,
    GenerationRequest,
    LoadQuantization,
    SamplingParams,
)
from codeserve.model_specs.segments import Control, Text
from tests.models.corpus import CompletionExample, held_out

BOS = "<｜begin▁of▁sentence｜>"
EXAMPLES = [e for e in islice(held_out("completion"), 14) if isinstance(e, CompletionExample)]
StartEngine = Callable[..., Awaitable[Engine]]
Answer = tuple[list[int], int]


@pytest.fixture
async def start_engine(tiny_deepseek_folder: Path) -> AsyncIterator[StartEngine]:
    """Starts engines that are stopped when the test ends."""
    async with AsyncExitStack() as resources:

        async def start(
            quantization: LoadQuantization | None = None,
            concurrency: int = 8,
            context_length: int | None = 512,
            **options: object,
        ) -> Engine:
            config = EngineConfig(
                engine="transformers",
                path=str(tiny_deepseek_folder),
                context_length=context_length,
                max_concurrency=concurrency,
                quantization=quantization,
                options={"dtype": "float32"} | options,
            )
            engine = registry.create(config)
            await engine.start(lambda phase, fraction: None)
            resources.push_async_callback(engine.stop)
            return engine

        yield start


def prompts(engine: Engine) -> list[tuple[int, ...]]:
    """Completion prompts behind a beginning that all share."""
    shared = "\n\n".join(example.prompt for example in EXAMPLES[:4]) + "\n\n"
    texts = (shared + example.prompt for example in EXAMPLES[4:])
    return [tuple(engine.tokenizer.encode([Control(BOS), Text(text)])) for text in texts]


async def answer(engine: Engine, prompt: tuple[int, ...]) -> Answer:
    """The greedy continuation, and how much of the prompt was cached."""
    request = GenerationRequest(
        id="r",
        prompt_ids=prompt,
        max_tokens=24,
        stop_ids=engine.info.variant.stop_ids,
        sampling=SamplingParams(temperature=0.0),
    )
    deltas = [delta async for delta in await engine.generate(request)]
    return [t for delta in deltas for t in delta.token_ids], deltas[0].cached_tokens


async def answers(engine: Engine) -> list[Answer]:
    return await asyncio.gather(*(answer(engine, prompt) for prompt in prompts(engine)))


def of_library(model: Any, prompt: tuple[int, ...], stop_ids: frozenset[int]) -> list[int]:
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=24,
        do_sample=False,
        eos_token_id=sorted(stop_ids),
    )
    return [int(token) for token in output[0, len(prompt) :]]


async def test_the_tokens_are_those_of_the_librarys_own_generation(
    start_engine: StartEngine, library_model: Any
) -> None:
    engine = await start_engine()
    stop_ids = engine.info.variant.stop_ids
    expected = [of_library(library_model, prompt, stop_ids) for prompt in prompts(engine)]
    assert [tokens for tokens, _ in await answers(engine)] == expected
    assert len({tuple(tokens) for tokens in expected}) > 1


async def test_neither_chunks_nor_cache_nor_drafts_change_the_tokens(
    start_engine: StartEngine,
) -> None:
    plain = await start_engine(draft=False)
    alone = [(await answer(plain, prompt))[0] for prompt in prompts(plain)]
    engine = await start_engine(n_batch=24)
    cold, warm = await answers(engine), await answers(engine)
    assert [tokens for tokens, _ in cold] == [tokens for tokens, _ in warm] == alone
    assert all(cached > 0 for _, cached in warm)


async def test_prefixes_that_had_to_leave_the_cache_come_back(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    options = {"cache_disk": str(tmp_path), "concurrency": 1}
    engine = await start_engine(**options)
    first, *others = prompts(engine)
    expected, cached = await answer(engine, first)
    assert cached == 0
    await engine.stop()

    again = await start_engine(**options)
    tokens, cached = await answer(again, first)
    assert tokens == expected
    assert cached >= 64, "whole blocks come back"
    for prompt in others:
        await answer(again, prompt)


@pytest.mark.parametrize(
    ("quantization", "least"), [(LoadQuantization.EIGHT_BIT, 9), (LoadQuantization.FOUR_BIT, 5)]
)
async def test_quantised_while_loading_the_model_still_writes_code(
    start_engine: StartEngine, quantization: LoadQuantization, least: int
) -> None:
    engine = await start_engine(quantization=quantization)
    encode, decode = engine.tokenizer.encode, engine.tokenizer.decode
    asked = [tuple(encode([Control(BOS), Text(example.prompt)])) for example in EXAMPLES[:10]]
    texts = [decode((await answer(engine, prompt))[0]) for prompt in asked]
    pairs = list(zip(texts, [example.completion for example in EXAMPLES], strict=False))
    assert sum(text == expected for text, expected in pairs) >= least, pairs
    assert engine.info.settings["quantization"] == quantization.value


async def test_the_default_context_is_what_memory_and_training_allow(
    start_engine: StartEngine,
) -> None:
    engine = await start_engine(context_length=None, concurrency=1)
    assert engine.info.context_length == 8192
    assert engine.info.trained_context_length == 16384
    assert (engine.info.device, engine.info.settings["dtype"]) == ("cpu", "float32")
    assert engine.info.vocab_size == 32256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 16385}, "16385.*trained for 16384"),
        ({"context_length": 16384, "concurrency": 100_000}, "KV cache of .* GiB on cpu.* Lower"),
    ],
)
async def test_a_context_that_cannot_be_had_is_refused(
    start_engine: StartEngine, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        await start_engine(n_batch=100_000, **changes)
