"""The Transformers engine beside the library's own two ways of serving many requests.

    PYTHONPATH=.typing:. ENVIRONMENT/bin/python benchmarks/transformers_batching.py --layers 4

In the environment of the engine. Makes a random model of DeepSeek Coder 1.3B's shape, cut to some
layers, or takes a folder of one (``--model``), and shows the median of tokens per second of greedy
decoding, interleaved, for

- engine: ours, without drafts, which random weights make too easy, and without cached prefixes;
- generate: ``model.generate`` on one static batch of equal prompts;
- manager: the library's continuous batching manager, with ``sdpa``.

All have prompts of the same length and as many threads.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import torch

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.cores import usable_cores
from codeserve.engines.types import EngineConfig, GenerationRequest, SamplingParams

Way = Callable[[list[list[int]], int], Awaitable[int]]
"""Continues prompts by so many tokens each; how many came."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def write_model(folder: Path, tokenizer: Path, layers: int) -> None:
    """A folder of random weights in bfloat16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32256,
        hidden_size=2048,
        intermediate_size=5504,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=16384,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "linear", "rope_theta": 100000.0, "factor": 4.0},
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, folder / name)


async def engine_way(engine: Engine) -> Way:
    async def one(prompt: list[int], tokens: int, index: int) -> int:
        request = GenerationRequest(
            id=str(index),
            prompt_ids=tuple(prompt),
            max_tokens=tokens,
            stop_ids=frozenset(),
            sampling=SamplingParams(temperature=0.0),
        )
        return sum([len(delta.token_ids) async for delta in await engine.generate(request)])

    async def run(prompts: list[list[int]], tokens: int) -> int:
        return sum(await asyncio.gather(*(one(p, tokens, i) for i, p in enumerate(prompts))))

    return run


def generate_way(model: Any) -> Way:
    async def run(prompts: list[list[int]], tokens: int) -> int:
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                eos_token_id=None,
            )
        return int(output.shape[0] * (output.shape[1] - ids.shape[1]))

    return run


def manager_way(model: Any, stack: AsyncExitStack) -> Way:
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, max_new_tokens=64),
        continuous_batching_config=ContinuousBatchingConfig(
            num_blocks=64,
            max_batch_tokens=512,
            use_cuda_graph=False,
            use_async_batching=False,
            auto_switch_to_flash=False,
        ),
    )
    manager.start()
    stack.callback(lambda: manager.stop(block=True, timeout=5))

    async def run(prompts: list[list[int]], tokens: int) -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Queue[Any] = asyncio.Queue()
        names = [f"{time.monotonic_ns()}-{index}" for index in range(len(prompts))]
        for name, prompt in zip(names, prompts, strict=True):
            manager.register_result_handler(
                name, lambda output: loop.call_soon_threadsafe(done.put_nowait, output)
            )
            manager.add_request(prompt, request_id=name, max_new_tokens=tokens, eos_token_id=-1)
        outputs = [await asyncio.wait_for(done.get(), 300) for _ in names]
        return sum(len(output.generated_tokens) for output in outputs)

    return run


async def measure(
    ways: dict[str, Way], requests: list[int], prompt: int, tokens: int, rounds: int
) -> None:
    chance = random.Random(1)
    for count in requests:
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, run in ways.items():
                prompts = [[chance.randrange(32000) for _ in range(prompt)] for _ in range(count)]
                started = time.monotonic()
                came = await run(prompts, tokens)
                if turn:
                    rates[name].append(came / (time.monotonic() - started))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        row = "  ".join(f"{name} {median:7.1f}" for name, median in medians.items())
        print(f"{count:3} requests, tokens/s: {row}", flush=True)


async def run(arguments: argparse.Namespace, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    threads, dtype = arguments.threads, arguments.dtype
    async with AsyncExitStack() as stack:
        config = EngineConfig(
            engine="transformers",
            path=str(folder),
            context_length=512,
            max_concurrency=max(arguments.requests),
            options={
                "dtype": dtype,
                "device": "cpu",
                "n_threads": threads,
                "draft": False,
                "cache_host_mib": 0,
            },
        )
        engine = registry.create(config)
        await engine.start(lambda phase, fraction: None)
        stack.push_async_callback(engine.stop)
        torch.set_num_threads(threads)
        load = AutoModelForCausalLM.from_pretrained
        model = load(folder, dtype=getattr(torch, dtype), attn_implementation="sdpa").eval()
        ways = {"engine": await engine_way(engine), "generate": generate_way(model)}
        if arguments.manager:
            ways["manager"] = manager_way(model, stack)
        await measure(
            ways, arguments.requests, arguments.prompt, arguments.tokens, arguments.rounds
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path, help="a folder with a tokenizer.json of 32256 ids")
    parser.add_argument("--model", type=Path, help="a model's folder instead of a random one")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-manager", dest="manager", action="store_false")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.model
        if folder is None:
            folder = Path(made) / "random"
            write_model(folder, arguments.tokenizer, arguments.layers)
        asyncio.run(run(arguments, folder))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
