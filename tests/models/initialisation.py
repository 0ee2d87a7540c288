# mypy: disable-error-code="import-not-found, no-any-return, untyped-decorator"
"""Where the tiny model's training starts from: heads that can already look up and copy.

From random weights, a network of this size had not begun to copy words from the prompt after 19000
samples: no head gains from looking at the right place before it copies, nor from copying before it
looks. So the heads start out as copying heads (the output projection is the transpose of the value
projection, the output table has the rows of the embedding), the first layer looks one and two
places back, and the second layer finds what followed the same token before, the induction heads of
Olsson et al., 2022 (arXiv 2209.11895). Which of this is used, and when, is learnt.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.network import Attention, Network, frequencies
from tests.models.shape import HEAD_SIZE, HEADS, HIDDEN, KV_HEADS, ROPE_FACTOR

HALF = HEAD_SIZE // 2
CONSTANT = 0.5
"""First column of every row of the embedding, relative to the length of the rest."""
SLOW = [row for row in range(HEAD_SIZE) if row % HALF >= 4]
"""Rows of a head that the rotation hardly turns within a prompt, so that they can compare."""


@torch.no_grad()
def initialise(network: Network, texts: Sequence[str]) -> None:
    """Set all weights of `network`, whose used ids stand for `texts`."""
    for weight in network.layers.parameters():
        if weight.ndim == 2:
            nn.init.normal_(weight, std=0.5 / math.sqrt(weight.shape[1]))
    set_tables(network, texts)
    directions = nn.init.orthogonal_(torch.empty(HIDDEN, HIDDEN)).view(-1, HEAD_SIZE, HIDDEN)
    for attention in network.attentions:
        copy(attention, directions)
    look_back(network.attentions[0], directions)
    find_same(network.attentions[1], directions)


def set_tables(network: Network, texts: Sequence[str]) -> None:
    """A word has similar rows with and without its leading space, and the same in both tables."""
    words = {word: torch.randn(HIDDEN) for word in dict.fromkeys(map(str.strip, texts))}
    near = [words[text.strip()] + 0.3 * torch.randn(HIDDEN) for text in texts]
    rows = functional.normalize(torch.stack([*near, torch.randn(HIDDEN)]), dim=1)
    network.lm_head.weight.copy_(0.5 * rows)
    rows[:, 0] = CONSTANT
    network.embed_tokens.weight.copy_(4 * functional.normalize(rows, dim=1))


def copy(attention: Attention, directions: Tensor) -> None:
    """Each head adds what it sees, along the directions of its group, to the output."""
    values = directions[:KV_HEADS]
    attention.v_proj.weight.copy_(values.flatten(0, 1))
    copies = values.repeat_interleave(HEADS // KV_HEADS, dim=0)
    attention.o_proj.weight.copy_(0.3 * copies.flatten(0, 1).T)


def look_back(attention: Attention, directions: Tensor) -> None:
    """Heads 0 and 1 look one and two places back and note what they see along directions 2 and 3.

    Their queries and keys see only the embedding's constant first column, and the two fastest
    rotations turn it to a score that is highest at that distance.
    """
    turns = frequencies() / ROPE_FACTOR
    for pair in (0, 1):
        attention.k_proj.weight[[pair, pair + HALF]] = 0
        attention.k_proj.weight[pair, 0] = 5
        for head in (0, 1):
            row = head * HEAD_SIZE + pair
            angle = turns[pair] * (head + 1)
            attention.q_proj.weight[[row, row + HALF]] = 0
            attention.q_proj.weight[row, 0] = 5 * angle.cos()
            attention.q_proj.weight[row + HALF, 0] = -5 * angle.sin()
    notes = attention.o_proj.weight.view(HIDDEN, HEADS, HEAD_SIZE)
    for head in (0, 1):
        notes[:, head] = directions[2 + head].T


def find_same(attention: Attention, directions: Tensor) -> None:
    """The first head of each group looks where the note is of the token that it stands on."""
    queries = attention.q_proj.weight.view(KV_HEADS, HEADS // KV_HEADS, HEAD_SIZE, HIDDEN)
    keys = attention.k_proj.weight.view(KV_HEADS, HEAD_SIZE, HIDDEN)
    for group in range(KV_HEADS):
        queries[group, 0] = 0
        keys[group] = 0
        queries[group, 0, SLOW] = 2.5 * directions[0, SLOW]
        keys[group, SLOW] = 2.5 * directions[2 + group, SLOW]
