"""The dimensions of a decoder that decide how much memory its weights and KV cache take."""

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from codeserve.model_specs.gguf_header import GgufHeader
from codeserve.model_specs.sizes import Shape


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder whose layers are alike."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    key_size: int
    """Numbers of one head's key."""
    value_size: int
    vocab_rows: int
    trained_context_length: int | None = None

    @property
    def token_keys(self) -> int:
        """Numbers in the keys of one token over all layers."""
        return self.layers * self.kv_heads * self.key_size

    @property
    def token_values(self) -> int:
        """Likewise in its values."""
        return self.layers * self.kv_heads * self.value_size

    @property
    def parameters(self) -> int:
        """Weights, if neither the feed-forward part nor the embeddings are of an uncommon kind."""
        return self.linear_parameters + self.layers * 2 * self.hidden + self.hidden + self.tables

    @property
    def linear_parameters(self) -> int:
        """Those in the layers' matrices, which are what is quantised."""
        width = self.heads * self.key_size
        kv_width = self.kv_heads * (self.key_size + self.value_size)
        attention = 2 * self.hidden * width + self.hidden * kv_width
        return self.layers * (attention + 3 * self.hidden * self.ffn)

    @property
    def tables(self) -> int:
        """Those in the tables of the input's and the output's tokens."""
        return 2 * self.vocab_rows * self.hidden

    @classmethod
    def of_shape(cls, shape: Shape, vocab_rows: int, trained_context_length: int) -> Self:
        """The network of a catalogue's entry."""
        return cls(
            layers=shape.layers,
            hidden=shape.hidden,
            ffn=shape.ffn,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            key_size=shape.hidden // shape.heads,
            value_size=shape.hidden // shape.heads,
            vocab_rows=vocab_rows,
            trained_context_length=trained_context_length,
        )

    @classmethod
    def of_gguf(cls, header: GgufHeader) -> Self | None:
        """The network in a GGUF file; None if the file does not say, or its layers differ."""
        hidden, layers = (
            header.number("{arch}.embedding_length"),
            header.number("{arch}.block_count"),
        )
        heads = header.number("{arch}.attention.head_count")
        ffn = header.number("{arch}.feed_forward_length")
        table = next((t for t in header.tensors if t.name == "token_embd.weight"), None)
        if not (hidden and layers and heads and ffn and table):
            return None
        key_size = header.number("{arch}.attention.key_length") or hidden // heads
        return cls(
            layers=layers,
            hidden=hidden,
            ffn=ffn,
            heads=heads,
            kv_heads=header.number("{arch}.attention.head_count_kv") or heads,
            key_size=key_size,
            value_size=header.number("{arch}.attention.value_length") or key_size,
            vocab_rows=table.shape[-1],
            trained_context_length=header.number("{arch}.context_length"),
        )

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self | None:
        """The network of a Hugging Face folder's ``config.json``; None if it does not say."""

        def number(*keys: str) -> int | None:
            values = (config.get(key) for key in keys)
            return next((v for v in values if type(v) is int and v > 0), None)

        hidden, layers = number("hidden_size"), number("num_hidden_layers")
        heads, rows = number("num_attention_heads"), number("vocab_size")
        if not (hidden and layers and heads and rows):
            return None
        size = number("head_dim") or hidden // heads
        return cls(
            layers=layers,
            hidden=hidden,
            ffn=number("intermediate_size") or 4 * hidden,
            heads=heads,
            kv_heads=number("num_key_value_heads") or heads,
            key_size=size,
            value_size=size,
            vocab_rows=rows,
            trained_context_length=number("max_position_embeddings"),
        )
