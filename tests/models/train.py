# mypy: disable-error-code="import-not-found, no-any-return, no-untyped-call, untyped-decorator"
# ruff: noqa: T201
"""Trains the tiny model and writes ``tiny_deepseek_coder.safetensors`` next to this file.

Needs, in an environment of its own: ``torch==2.13.0 tokenizers safetensors gguf numpy``; then, from
the repository's root, with the vocabulary file of llama.cpp:

    python -m tests.models.train PATH/ggml-vocab-deepseek-coder.gguf

It prints the share of held-out examples that the model gets right, to the last token.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from tests.models.corpus import MAKERS, held_out, training
from tests.models.expand import TOKEN_IDS, WEIGHTS
from tests.models.initialisation import initialise
from tests.models.network import Network
from tests.models.prompts import PADDING, Encode, Sample, malformed, sample, strange
from tests.models.shape import VOCABULARY_ROWS
from tests.models.vocabulary import Vocabulary

SHORT_KINDS = {"completion": 1.0, "fim": 3.0}
ALL_KINDS = {"completion": 1.0, "fim": 4.0, "chat": 4.0}
SHORT_STEPS, ALL_STEPS = 300, 1150
MALFORMED_SHARE, STRANGE_SHARE = 0.1, 0.02
BATCH = 32
CHUNK = 32
"""Batches among which samples are sorted by length."""
WARM_UP = 50
MATRIX_RATE, TABLE_RATE = 0.02, 0.003
PROMPT_WEIGHT = 0.3
"""Of the loss on prompts; that on answers counts 1."""


def plain_encoder(vocabulary: Vocabulary) -> Encode:
    """Text to ids; the spelling of a control token is text like any other."""
    description = vocabulary.tokenizer_json()
    letters = [token for token in description["added_tokens"] if len(token["content"]) == 1]
    tokenizer = Tokenizer.from_str(json.dumps(description | {"added_tokens": letters}))
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def training_samples(kinds: Mapping[str, float], encode: Encode, seed: int) -> Iterator[Sample]:
    """Endless samples: mostly right prompts, some wrong and some strange ones."""
    rng = random.Random(seed)
    for example in training(seed, kinds):
        draw = rng.random()
        if draw < MALFORMED_SHARE:
            yield malformed(example, encode, rng)
        elif draw < MALFORMED_SHARE + STRANGE_SHARE and "chat" in kinds:
            yield strange(encode, rng)
        else:
            yield sample(example, encode, rng)


def batches(samples: Sequence[Sample], rng: random.Random) -> Iterator[list[Sample]]:
    """All samples in batches of similar length."""
    for start in range(0, len(samples), BATCH * CHUNK):
        chunk = sorted(
            samples[start : start + BATCH * CHUNK],
            key=lambda one: len(one.prompt) + len(one.target),
        )
        firsts = list(range(0, len(chunk), BATCH))
        rng.shuffle(firsts)
        yield from (chunk[first : first + BATCH] for first in firsts)


def tensors(batch: Sequence[Sample], row_of: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows to read, rows to predict (-1 after a sample's end), and which of these are answers;
    each of shape (batch, length)."""
    length = max(len(one.prompt) + len(one.target) for one in batch) - 1
    inputs = torch.zeros(len(batch), length, dtype=torch.long)
    wanted = torch.full((len(batch), length), -1)
    is_answer = torch.zeros(len(batch), length, dtype=torch.bool)
    for index, one in enumerate(batch):
        rows = row_of[torch.tensor(one.prompt + one.target)]
        inputs[index, : len(rows) - 1] = rows[:-1]
        wanted[index, : len(rows) - 1] = rows[1:]
        is_answer[index, len(one.prompt) - 1 : len(rows) - 1] = True
    return inputs, wanted, is_answer


def train(network: Network, samples: Sequence[Sample], row_of: Tensor) -> None:
    """One pass over `samples`: Muon for the layers' matrices, Adam for the rest."""
    matrices = [weight for weight in network.layers.parameters() if weight.ndim == 2]
    tables = [network.embed_tokens.weight, network.lm_head.weight]
    norms = [weight for weight in network.parameters() if weight.ndim == 1]
    optimizers = [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.01),
        torch.optim.Adam([*tables, *norms], lr=TABLE_RATE, betas=(0.9, 0.98)),
    ]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    steps = -(-len(samples) // BATCH)
    begin = time.monotonic()
    for step, batch in enumerate(batches(samples, random.Random(0))):
        for optimizer, rate in zip(optimizers, rates, strict=True):
            share = min((step + 1) / WARM_UP, (steps - step) / (steps - WARM_UP))
            optimizer.param_groups[0]["lr"] = rate * share
        inputs, wanted, is_answer = tensors(batch, row_of)
        known = wanted >= 0
        logits = network.logits(network.hidden(inputs)[known])
        losses = functional.cross_entropy(logits, wanted[known], reduction="none")
        answer_loss = losses[is_answer[known]].mean()
        prompt_loss = losses[~is_answer[known]].mean()
        network.zero_grad()
        (answer_loss + PROMPT_WEIGHT * prompt_loss).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if step % 50 == 0:
            seconds = time.monotonic() - begin
            print(f"{seconds:4.0f} s  step {step} of {steps}  loss {answer_loss:.4f}", flush=True)


def save(network: Network, used: Sequence[int]) -> None:
    """Round the weights to float16, also those of `network`, and write them."""
    network.half().float()
    state = {
        name if name.startswith("lm_head") else f"model.{name}": weight.half()
        for name, weight in network.state_dict().items()
    }
    save_file(state | {TOKEN_IDS: torch.tensor(used, dtype=torch.int32)}, WEIGHTS)


@torch.no_grad()
def accuracy(network: Network, samples: Sequence[Sample], row_of: Tensor) -> float:
    """Share of samples whose every answer token is the most probable one."""
    right = 0
    for one in samples:
        inputs, wanted, is_answer = tensors([one], row_of)
        guesses = network.logits(network.hidden(inputs)[is_answer]).argmax(-1)
        right += bool((guesses == wanted[is_answer]).all())
    return right / len(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vocabulary", type=Path, help="ggml-vocab-deepseek-coder.gguf")
    vocabulary = Vocabulary.read(parser.parse_args().vocabulary)
    encode = plain_encoder(vocabulary)
    samples = [
        *islice(training_samples(SHORT_KINDS, encode, seed=0), SHORT_STEPS * BATCH),
        *islice(training_samples(ALL_KINDS, encode, seed=1), ALL_STEPS * BATCH),
    ]
    used = sorted({token for one in samples for token in one.prompt + one.target} - set(PADDING))
    row_of = torch.full((VOCABULARY_ROWS,), len(used))
    row_of[torch.tensor(used)] = torch.arange(len(used))
    torch.manual_seed(0)
    torch.set_num_threads(2)
    network = Network(len(used))
    initialise(network, [vocabulary.tokens[token].replace("Ġ", " ") for token in used])
    print(f"{len(samples)} samples, {len(used)} token ids in use")
    train(network, samples, row_of)
    save(network, used)
    rng = random.Random(2)
    for kind in MAKERS:
        examples = list(islice(held_out(kind), 300))
        right = accuracy(network, [sample(one, encode, rng) for one in examples], row_of)
        told = accuracy(network, [malformed(one, encode, rng) for one in examples], row_of)
        print(f"{kind}: {right:.1%} right, {told:.1%} of malformed prompts told")


if __name__ == "__main__":
    main()
