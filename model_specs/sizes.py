"""How large a model's file is and how much memory it needs."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

GGUF_BITS_PER_PARAMETER: Mapping[str, float] = MappingProxyType(
    {
        "Q2_K": 3.366,
        "Q3_K_S": 3.460,
        "Q3_K_M": 3.856,
        "Q3_K_L": 4.213,
        "Q4_0": 4.516,
        "Q4_K_S": 4.532,
        "Q4_K_M": 4.784,
        "Q5_0": 5.509,
        "Q5_K_S": 5.509,
        "Q5_K_M": 5.648,
        "Q6_K": 6.565,
        "Q8_0": 8.501,
    }
)
"""File size over parameter count of deepseek-coder-33B-instruct-GGUF, by its model card. A name
such as Q4_K_M stands for a mix of block formats, so this is more than the format's own bits."""

RAM_OVERHEAD_GIGABYTES = 2.5
"""What the same model card adds to the file size for a small context without GPU offload."""


class FileSize(msgspec.Struct, frozen=True):
    """Size of a weights file in gigabytes (10^9 bytes)."""

    gigabytes: float
    exact: bool
    """False: estimated from the number of parameters, good to about a tenth."""

    @property
    def ram_gigabytes(self) -> float:
        """Memory needed at a small context when no layer is offloaded to a GPU."""
        return self.gigabytes + RAM_OVERHEAD_GIGABYTES


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dimensions of a LLaMA network whose input and output embeddings are not shared."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int

    def parameters(self, vocab_rows: int) -> int:
        """Number of weights with a vocabulary of ``vocab_rows``."""
        kv_width = self.hidden * self.kv_heads // self.heads
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * kv_width
        feed_forward = 3 * self.hidden * self.ffn
        norms = 2 * self.hidden
        embeddings = 2 * vocab_rows * self.hidden
        return self.layers * (attention + feed_forward + norms) + embeddings + self.hidden

    def estimate(self, vocab_rows: int, quantization: str) -> FileSize | None:
        """Size of a GGUF file; None for a quantisation whose density is not known."""
        bits = GGUF_BITS_PER_PARAMETER.get(quantization)
        if bits is None:
            return None
        return FileSize(self.parameters(vocab_rows) * bits / 8 / 1e9, exact=False)
