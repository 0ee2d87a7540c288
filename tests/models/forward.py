"""The tiny model once more, in plain numpy: what every engine should compute."""

from collections.abc import Mapping, Sequence

import numpy as np

from tests.models import shape
from tests.models.expand import Array


def logprobs(weights: Mapping[str, Array], token_ids: Sequence[int]) -> Array:
    """The log-probabilities of every token after each of ``token_ids``, in float32."""
    x = weights["model.embed_tokens.weight"][list(token_ids)]
    cosine, sine = _rotations(len(token_ids))
    for layer in range(shape.LAYERS):
        own = {
            name.removeprefix(f"model.layers.{layer}.").removesuffix(".weight"): array
            for name, array in weights.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        x = x + _attention(own, _normed(x, own["input_layernorm"]), cosine, sine)
        h = _normed(x, own["post_attention_layernorm"])
        gate = h @ own["mlp.gate_proj"].T
        up = h @ own["mlp.up_proj"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ own["mlp.down_proj"].T
    logits = _normed(x, weights["model.norm.weight"]) @ weights["lm_head.weight"].T
    logits = logits - logits.max(axis=-1, keepdims=True)
    scores: Array = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return scores


def _normed(x: Array, weight: Array) -> Array:
    normed: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + shape.NORM_EPSILON) * weight
    return normed


def _rotations(length: int) -> tuple[Array, Array]:
    frequencies = shape.ROPE_THETA ** (-np.arange(0, shape.HEAD_SIZE, 2) / shape.HEAD_SIZE)
    angles = np.tile(np.outer(np.arange(length) / shape.ROPE_FACTOR, frequencies), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _attention(own: Mapping[str, Array], x: Array, cosine: Array, sine: Array) -> Array:
    def heads(name: str) -> Array:
        return (x @ own[f"self_attn.{name}"].T).reshape(len(x), -1, shape.HEAD_SIZE).swapaxes(0, 1)

    def rotated(array: Array) -> Array:
        first, second = np.split(array, 2, axis=-1)
        return array * cosine + np.concatenate((-second, first), axis=-1) * sine

    shared = shape.HEADS // shape.KV_HEADS
    q, k = rotated(heads("q_proj")), np.repeat(rotated(heads("k_proj")), shared, axis=0)
    v = np.repeat(heads("v_proj"), shared, axis=0)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(shape.HEAD_SIZE)
    scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = (shares @ v).swapaxes(0, 1).reshape(len(x), -1)
    out: Array = mixed @ own["self_attn.o_proj"].T
    return out
