# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call"
# ruff: noqa: T201
"""Adapts the tiny model's blocks to four bits and writes ``tiny_four_bits.safetensors``.

So narrow a model does not survive rounding: of 100 held-out chats it answers 3 with GPTQ's levels.
Here it goes on learning while its linear layers compute with rounded weights, each step by another
scheme of `quantize.SCHEMES`. Needs what `train.py` needs; from the repository's root:

    python -m tests.models.adapt PATH/ggml-vocab-deepseek-coder.gguf

It prints the share of held-out examples that each scheme gets right, to the last token.
"""

import argparse
import random
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from tests.models.corpus import MAKERS, held_out
from tests.models.expand import TOKEN_IDS, WEIGHTS
from tests.models.network import Network
from tests.models.prompts import Sample, sample
from tests.models.quantize import ADAPTED, SCHEMES, Scheme
from tests.models.shape import VOCABULARY_ROWS
from tests.models.train import (
    ALL_KINDS,
    accuracy,
    batches,
    plain_encoder,
    tensors,
    training_samples,
)
from tests.models.vocabulary import Vocabulary

BATCH, STEPS, WARM_UP = 32, 105, 10
RATE = 0.004
PROMPT_WEIGHT = 0.3


class Rounded(nn.Module):
    """A weight as a scheme rounds it; its gradient is that of the weight as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.scheme: Scheme | None = None

    def forward(self, weight: Tensor) -> Tensor:
        if self.scheme is None:
            return weight
        rounded = self.scheme.quantized(weight.detach().half().float().numpy()).dequantized()
        return weight + (torch.from_numpy(rounded) - weight).detach()


def read_network() -> tuple[Network, list[int]]:
    """The trained network and the ids of its rows."""
    stored = load_file(WEIGHTS)
    used = stored.pop(TOKEN_IDS).tolist()
    network = Network(len(used))
    network.load_state_dict(
        {name.removeprefix("model."): torch.tensor(w).float() for name, w in stored.items()}
    )
    return network, used


def round_linears(network: Network) -> list[Rounded]:
    """Let every linear layer of the blocks compute with rounded weights."""
    roundings = []
    for module in network.layers.modules():
        if type(module) is nn.Linear:
            roundings.append(Rounded())
            parametrize.register_parametrization(module, "weight", roundings[-1])
    return roundings


def choose(roundings: Sequence[Rounded], scheme: Scheme) -> None:
    for rounding in roundings:
        rounding.scheme = scheme


def adapt(
    network: Network, roundings: Sequence[Rounded], samples: Sequence[Sample], row_of: Tensor
) -> None:
    """Learn from each sample once; the norms and the tables stay as they are."""
    matrices = [weight for weight in network.layers.parameters() if weight.ndim == 2]
    optimizer = torch.optim.Muon(matrices, lr=RATE, weight_decay=0.0)
    begin = time.monotonic()
    for step, (batch, scheme) in enumerate(
        zip(batches(samples, random.Random(0)), cycle(SCHEMES.values()), strict=False)
    ):
        optimizer.param_groups[0]["lr"] = RATE * min((step + 1) / WARM_UP, 1 - step / STEPS)
        choose(roundings, scheme)
        inputs, wanted, is_answer = tensors(batch, row_of)
        known = wanted >= 0
        logits = network.logits(network.hidden(inputs)[known])
        losses = functional.cross_entropy(logits, wanted[known], reduction="none")
        answer_loss = losses[is_answer[known]].mean()
        network.zero_grad()
        (answer_loss + PROMPT_WEIGHT * losses[~is_answer[known]].mean()).backward()
        torch.nn.utils.clip_grad_norm_(matrices, 1.0)
        optimizer.step()
        if step % 15 == 0:
            seconds = time.monotonic() - begin
            print(f"{seconds:4.0f} s  step {step} of {STEPS}  loss {answer_loss:.4f}", flush=True)


def save(network: Network) -> None:
    """Write the weights of the linear layers in float16."""
    state = {
        f"model.layers.{name.replace('parametrizations.weight.original', 'weight')}": weight.half()
        for name, weight in network.layers.state_dict().items()
        if "original" in name
    }
    save_file(state, ADAPTED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vocabulary", type=Path, help="ggml-vocab-deepseek-coder.gguf")
    encode = plain_encoder(Vocabulary.read(parser.parse_args().vocabulary))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network, used = read_network()
    row_of = torch.full((VOCABULARY_ROWS,), len(used))
    row_of[torch.tensor(used)] = torch.arange(len(used))
    roundings = round_linears(network)
    samples = list(islice(training_samples(ALL_KINDS, encode, seed=2), STEPS * BATCH))
    adapt(network, roundings, samples, row_of)
    save(network)
    rng = random.Random(2)
    tests = {kind: [sample(e, encode, rng) for e in islice(held_out(kind), 100)] for kind in MAKERS}
    for name, scheme in SCHEMES.items():
        choose(roundings, scheme)
        for kind, examples in tests.items():
            print(f"{name} {kind}: {accuracy(network, examples, row_of):.0%} right", flush=True)


if __name__ == "__main__":
    main()
