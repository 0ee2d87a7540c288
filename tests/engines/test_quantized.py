"""Quantised checkpoints compute what their dequantised weights do, in every engine that reads them.

The weights of both are equal to the bit, so what differs is how an engine unpacks and multiplies.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.types import EngineConfig, GenerationRequest, SamplingParams
from codeserve.model_specs.segments import Content
from tests.engines.contract import CONTEXT, engines_here
from tests.models.checkpoints import Checkpoint
from tests.models.corpus import MAKERS, held_out
from tests.models.packing import Tensors
from tests.models.prompts import END, EOT, sample

EXAMPLES = 6
"""Of each kind of prompt."""
ENGINES = [name for name in engines_here() if name in ("vllm", "transformers")]
REFUSED = {("vllm", "gptq_desc_act")}
"""vLLM has stopped to support groups of inputs that are not neighbours."""
LOADED = [
    (engine, name)
    for engine in ENGINES
    for name in ("gptq", "gptq_desc_act", "awq")
    if (engine, name) not in REFUSED
]
DAMAGED_BLOCK = "model.layers.1."


@dataclass(frozen=True)
class Tolerance:
    """Bounds for differences of the log-probabilities of a prompt's tokens."""

    mean: float
    most: float
    noticed: float
    """A factor on the scales of one block that is far outside of the bounds."""


TOLERANCES = {
    "vllm": Tolerance(mean=0.002, most=0.3, noticed=1.05),
    "transformers": Tolerance(mean=0.02, most=4.5, noticed=1.25),
}
"""On a CPU, GPTQModel's kernels round inputs, scales and outputs to bfloat16; seen were a mean of
0.0057 and at most 1.42, for a token of a small probability."""


@dataclass(frozen=True)
class Answers:
    """What a model made of the prompts."""

    token_ids: list[list[int]]
    logprobs: NDArray[np.float64]
    """Of every prompt's tokens but the first."""
    right: int
    """Answers as the corpus wants them."""


Asked = dict[tuple[str, Path], Answers]


@pytest.fixture(scope="session")
def asked() -> Asked:
    """Answers that have been given already."""
    return {}


async def answers_of(engine: Engine) -> Answers:
    """Greedy answers to held-out examples, one after the other."""

    def encode(text: str) -> list[int]:
        return list(engine.tokenizer.encode([Content(text)]))

    rng = random.Random(0)
    token_ids: list[list[int]] = []
    logprobs: list[float] = []
    right = 0
    for example in (one for kind in MAKERS for one in islice(held_out(kind), EXAMPLES)):
        wanted = sample(example, encode, rng)
        request = GenerationRequest(
            id=str(len(token_ids)),
            prompt_ids=wanted.prompt,
            max_tokens=64,
            stop_ids=frozenset({END, EOT}),
            sampling=SamplingParams(temperature=0.0),
            prompt_logprobs=0,
        )
        deltas = [delta async for delta in await engine.generate(request)]
        token_ids.append([token for delta in deltas for token in delta.token_ids])
        logprobs += [score.logprob for score in deltas[0].prompt_scores]
        right += tuple(token_ids[-1]) == wanted.target
    return Answers(token_ids, np.array(logprobs), right)


async def ask(engine_name: str, folder: Path) -> Answers:
    config = EngineConfig(
        engine=engine_name,
        path=str(folder),
        context_length=CONTEXT,
        max_concurrency=1,
        options={"dtype": "float16"},
    )
    engine = registry.create(config)
    await engine.start(lambda phase, fraction: None)
    try:
        return await answers_of(engine)
    finally:
        await engine.stop()


async def ask_once(engine_name: str, folder: Path, asked: Asked) -> Answers:
    key = engine_name, folder
    if key not in asked:
        asked[key] = await ask(engine_name, folder)
    return asked[key]


def scale_a_block(tensors: Tensors, factor: float) -> None:
    for name in [name for name in tensors if name.endswith("scales")]:
        if name.startswith(DAMAGED_BLOCK):
            tensors[name] = (tensors[name] * factor).astype(np.float16)


def ignore_groups(tensors: Tensors) -> None:
    """What an engine computes that does not know ``g_idx``."""
    for name in [name for name in tensors if name.endswith("g_idx")]:
        tensors[name] = np.sort(tensors[name])


@pytest.mark.parametrize(("engine_name", "name"), LOADED)
async def test_a_checkpoint_computes_what_its_dequantised_weights_do(
    engine_name: str, name: str, checkpoints: Mapping[str, Checkpoint], asked: Asked
) -> None:
    checkpoint, tolerance = checkpoints[name], TOLERANCES[engine_name]
    reference = await ask_once(engine_name, checkpoint.dequantized, asked)

    answers = await ask_once(engine_name, checkpoint.folder, asked)

    differences = np.abs(answers.logprobs - reference.logprobs)
    assert answers.token_ids == reference.token_ids
    assert differences.mean() < tolerance.mean
    assert differences.max() < tolerance.most
    assert answers.right >= len(answers.token_ids) - 2


@pytest.mark.parametrize(("engine_name", "name"), LOADED)
async def test_a_wrong_block_is_outside_the_tolerance(
    engine_name: str,
    name: str,
    checkpoints: Mapping[str, Checkpoint],
    asked: Asked,
    tmp_path: Path,
) -> None:
    checkpoint, tolerance = checkpoints[name], TOLERANCES[engine_name]
    reference = await ask_once(engine_name, checkpoint.dequantized, asked)

    damage = (
        ignore_groups
        if name == "gptq_desc_act"
        else partial(scale_a_block, factor=tolerance.noticed)
    )
    wrong = await ask(engine_name, checkpoint.damaged(tmp_path / "damaged", damage))

    differences = np.abs(wrong.logprobs - reference.logprobs)
    assert differences.mean() > 1.5 * tolerance.mean


@pytest.mark.skipif("vllm" not in ENGINES, reason="vLLM is not here")
async def test_vllm_refuses_groups_that_it_would_ignore(
    checkpoints: Mapping[str, Checkpoint],
) -> None:
    with pytest.raises(ModelLoadError, match="desc_act"):
        await ask("vllm", checkpoints["gptq_desc_act"].folder)
