"""Packs rounded weights into the tensors of GPTQ and AWQ checkpoints: eight codes in an int32."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.rounding import Quantized

CODES = 8
BITS = 4
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""The column of eight that each nibble of AWQ's "GEMM" version holds, the lowest bits first."""

Tensors = dict[str, NDArray[Any]]


def gptq(weights: Quantized) -> Tensors:
    """GPTQ's tensors, version 1: packed along the inputs, zero points less 1."""
    return {
        "qweight": np.ascontiguousarray(packed(weights.codes.T).T),
        "qzeros": packed(weights.zeros - 1),
        "scales": weights.scales,
        "g_idx": weights.group_of,
    }


def awq(weights: Quantized) -> Tensors:
    """AWQ's tensors, "GEMM" version: packed along the outputs in `AWQ_ORDER`."""
    return {
        "qweight": packed(interleaved(weights.codes)),
        "qzeros": packed(interleaved(weights.zeros)),
        "scales": weights.scales,
    }


def packed(codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Eight neighbours of each row in one number, the first in the lowest bits."""
    eights = codes.astype(np.uint32).reshape(len(codes), -1, CODES)
    shifts = np.arange(CODES, dtype=np.uint32) * BITS
    numbers: NDArray[np.uint32] = np.bitwise_or.reduce(eights << shifts, axis=-1)
    return numbers.view(np.int32)


def interleaved(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The columns in the order of AWQ's nibbles."""
    eights = codes.reshape(len(codes), -1, CODES)
    return eights[..., AWQ_ORDER].reshape(codes.shape)
