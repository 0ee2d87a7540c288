# mypy: disable-error-code="import-not-found, misc, no-any-return"
"""The tiny model's network in PyTorch, for training only: LLaMA with a compact vocabulary.

Token ids that the corpus never uses share one row of the embedding and one row of the output,
which the softmax counts as often as there are such ids. So the full model, where each of them has
its own copy of the row, gives exactly the same probabilities.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.shape import (
    HEAD_SIZE,
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    KV_HEADS,
    LAYERS,
    NORM_EPSILON,
    ROPE_FACTOR,
    ROPE_THETA,
    VOCABULARY_ROWS,
)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions in the half-split layout."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN, HEADS * HEAD_SIZE, bias=False)
        self.k_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_SIZE, bias=False)
        self.v_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_SIZE, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_SIZE, HIDDEN, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, HEADS, HEAD_SIZE).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, KV_HEADS, HEAD_SIZE).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, KV_HEADS, HEAD_SIZE).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(
            rotate(q, rotation), rotate(k, rotation), v, is_causal=True, enable_gqa=True
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, INTERMEDIATE, bias=False)
        self.up_proj = nn.Linear(HIDDEN, INTERMEDIATE, bias=False)
        self.down_proj = nn.Linear(INTERMEDIATE, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One pre-norm block."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(HIDDEN, eps=NORM_EPSILON)
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(HIDDEN, eps=NORM_EPSILON)
        self.mlp = FeedForward()

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation)
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    """Compact rows in, compact logits out; the last row stands for all unused ids."""

    def __init__(self, used_ids: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(used_ids + 1, HIDDEN)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(HIDDEN, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(HIDDEN, used_ids + 1, bias=False)
        self.log_unused = math.log(VOCABULARY_ROWS - used_ids)

    @property
    def attentions(self) -> list[Attention]:
        """Of each layer, the first first."""
        return [layer.self_attn for layer in self.layers if isinstance(layer, Layer)]

    def hidden(self, rows: Tensor) -> Tensor:
        """Normed hidden states (batch, length, hidden) of rows (batch, length)."""
        x = self.embed_tokens(rows)
        rotation = rotations(rows.shape[1])
        for layer in self.layers:
            x = layer(x, rotation)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits whose softmax gives the unused ids' row their joint probability."""
        logits = self.lm_head(hidden)
        return torch.cat((logits[..., :-1], logits[..., -1:] + self.log_unused), dim=-1)


def frequencies() -> Tensor:
    """Radians per position (half head size), fastest first."""
    return ROPE_THETA ** (-torch.arange(0, HEAD_SIZE, 2) / HEAD_SIZE)


def rotations(length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine (length, head size) of the linearly scaled positions."""
    angle = torch.outer(torch.arange(length) / ROPE_FACTOR, frequencies()).repeat(1, 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (i, i + half) of a head by its position's angle."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
