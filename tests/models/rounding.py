"""Rounds a weight matrix to four bits in groups of inputs, as GPTQ and AWQ checkpoints hold it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUP = 128
"""Inputs that share a scale and a zero point for each output."""
LEVELS = 16

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class Quantized:
    """A linear layer's weights: ``(codes - zeros) * scales``."""

    codes: NDArray[np.uint8]
    """0 to 15, inputs by outputs."""
    scales: NDArray[np.float16]
    """Groups by outputs."""
    zeros: NDArray[np.uint8]
    """The codes of 0.0, groups by outputs."""
    group_of: Int32
    """Each input's group."""

    def dequantized(self) -> Float32:
        """The weights, outputs by inputs, without further rounding."""
        steps = self.codes.astype(np.float32) - self.zeros[self.group_of]
        return np.ascontiguousarray((steps * self.scales[self.group_of]).T)


def quantized(weight: Float32, group_of: Int32, *, symmetric: bool) -> Quantized:
    """Round ``weight``, outputs by inputs, to the nearest levels; symmetric: zero points are 8."""
    inputs = weight.T
    groups = [inputs[group_of == group] for group in range(group_of.max() + 1)]
    lowest = np.stack([group.min(axis=0) for group in groups])
    highest = np.stack([group.max(axis=0) for group in groups])
    if symmetric:
        highest = np.maximum(highest, -lowest)
        lowest = -highest
    scales = ((highest - lowest) / (LEVELS - 1)).astype(np.float16)
    steps = scales.astype(np.float32)
    zeros = np.full(steps.shape, LEVELS / 2) if symmetric else np.rint(-lowest / steps)
    zeros = zeros.clip(0, LEVELS - 1)
    codes = np.rint(inputs / steps[group_of]) + zeros[group_of]
    codes = codes.clip(0, LEVELS - 1)
    return Quantized(codes.astype(np.uint8), scales, zeros.astype(np.uint8), group_of)


def in_order(weight: Float32) -> Int32:
    """Groups of neighbouring inputs."""
    return np.arange(weight.shape[1], dtype=np.int32) // GROUP


def by_size(weight: Float32) -> Int32:
    """Groups of inputs with weights of like size, the largest first.

    It stands in for GPTQ's ``desc_act``, which orders the inputs by their activations.
    """
    groups = np.empty(weight.shape[1], dtype=np.int32)
    groups[np.argsort(-np.square(weight).sum(axis=0), kind="stable")] = in_order(weight)
    return groups
