"""One forward pass over the chunks of many slots, as one row of tokens."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

from codeserve.engines.batching.step_backend import Chunk, rows_of
from codeserve.engines.transformers.attention import Call
from codeserve.engines.transformers.kv_cache import KvCache, index_of

GROUP_CELLS = 65_536
"""The most cells, padding included, that are gathered at a time."""

ALIGNMENT = 8
"""Masks of CUDA's kernels are that wide or a multiple of it."""


class Part(Protocol):
    """Some tokens of a step, and the cells that they attend to."""

    def attend(self, call: Call, kv: KvCache, result: Any) -> None:
        """Write the attention of these tokens in one layer to ``result``, by token, head, size."""


class Step:
    """What the model computes in one pass, and the attention that its layers call.

    Making one places the tokens of its chunks in the cache; the pass fills in their keys and
    values.
    """

    def __init__(
        self, kv: KvCache, chunks: Sequence[Chunk], device: Any, *, together: bool
    ) -> None:
        """``device``: where the model takes its tokens. ``together``: slots with one token attend
        together."""
        self._kv = kv
        taken = [run for c in chunks for run in kv.cells.append(c.slot, len(c.token_ids))]
        self._index = cache(index_of(taken).to)
        ends = list(accumulate(len(chunk.token_ids) for chunk in chunks))
        self._parts = _parts(kv, chunks, ends, together=together)
        self.token_ids = _row([i for c in chunks for i in c.token_ids], device)
        """The tokens of all chunks, one after the other."""
        self.positions = _row(
            [c.start + i for c in chunks for i in range(len(c.token_ids))], device
        )
        """Of each token, in its own sequence."""
        spans = (range(e - rows_of(c), e) for c, e in zip(chunks, ends, strict=True))
        self.wanted = [place for span in spans for place in span]
        """The places of the tokens after which logits are wanted."""

    def attend(self, call: Call) -> Any:
        """Attention of every token to those before it in its slot, in one layer."""
        key, value = call.key[0], call.value[0]
        self._kv.write(call.layer, self._index(key.device), key, value)
        _, heads, tokens, _ = call.query.shape
        result = call.query.new_empty(tokens, heads, value.shape[-1])
        for part in self._parts:
            part.attend(call, self._kv, result)
        return result[None]


class OneChunk:
    """A chunk, attending where its slot's cells lie."""

    def __init__(self, kv: KvCache, chunk: Chunk, end: int) -> None:
        """``end``: where the chunk's tokens end in the step's."""
        self._runs = tuple(kv.cells.runs(chunk.slot))
        self._rows = slice(end - len(chunk.token_ids), end)
        self._start = chunk.start
        self._dtype = kv.dtype
        self._mask = cache(self._make_mask)

    def attend(self, call: Call, kv: KvCache, result: Any) -> None:
        """See ``Part``. Heads that share a key count as further tokens of one head."""
        keys, values = kv.read(call.layer, self._runs)
        query = call.query[0, :, self._rows]
        heads, tokens, size = query.shape
        kv_heads = keys.shape[0]
        mask = None if tokens == 1 else self._mask(tokens, heads // kv_heads, keys.device)
        mixed = scaled_dot_product_attention(
            query.reshape(1, kv_heads, -1, size).to(keys.dtype),
            keys[None],
            values[None],
            attn_mask=mask,
            scale=call.scaling,
        )
        result[self._rows] = mixed.view(heads, tokens, -1).transpose(0, 1)

    def _make_mask(self, tokens: int, group: int, device: Any) -> Any:
        """-inf for every cell after the token's own."""
        shape = (tokens, self._start + tokens)
        mask = torch.full(shape, -torch.inf, device=device, dtype=self._dtype)
        return mask.triu(self._start + 1).repeat(group, 1)


class SingleTokens:
    """One token each of many slots, attending together to a padded copy of their cells.

    For devices where starting a kernel for each slot takes longer than the copy.
    """

    def __init__(self, kv: KvCache, slots: Sequence[int], places: Sequence[int]) -> None:
        """``places``: where the tokens of ``slots`` are in the step."""
        rows = [index_of(kv.cells.runs(slot)) for slot in slots]
        longest = -(-max(map(len, rows)) // ALIGNMENT) * ALIGNMENT
        index = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.full((len(rows), 1, 1, longest), -torch.inf, dtype=kv.dtype)
        for at, row in enumerate(rows):
            index[at, : len(row)] = row
            mask[at, ..., : len(row)] = 0
        self._index, self._mask = cache(index.to), cache(mask.to)
        self._places = cache(torch.tensor(places).to)

    def attend(self, call: Call, kv: KvCache, result: Any) -> None:
        """See ``Part``."""
        device = call.key.device
        keys, values = kv.gather(call.layer, self._index(device))
        places = self._places(device)
        slots, kv_heads, _, size = keys.shape
        query = call.query[0].index_select(1, places).transpose(0, 1)
        mixed = scaled_dot_product_attention(
            query.reshape(slots, kv_heads, -1, size).to(keys.dtype),
            keys,
            values,
            attn_mask=self._mask(device),
            scale=call.scaling,
        )
        result[places] = mixed.reshape(slots, query.shape[1], -1).to(result.dtype)


def _parts(
    kv: KvCache, chunks: Sequence[Chunk], ends: Sequence[int], *, together: bool
) -> list[Part]:
    """``together``: tokens that come alone are grouped."""
    placed = list(zip(chunks, ends, strict=True))
    least = 2 if together else 1
    parts: list[Part] = [OneChunk(kv, c, end) for c, end in placed if len(c.token_ids) >= least]
    for group in _groups([(c, end) for c, end in placed if len(c.token_ids) < least]):
        parts.append(SingleTokens(kv, [c.slot for c, _ in group], [end - 1 for _, end in group]))
    return parts


def _groups(placed: Sequence[tuple[Chunk, int]]) -> Iterator[list[tuple[Chunk, int]]]:
    """Chunks of similar length together, in groups of bounded size."""
    group: list[tuple[Chunk, int]] = []
    for chunk, end in sorted(placed, key=lambda pair: pair[0].start):
        if group and (len(group) + 1) * (chunk.start + 1) > GROUP_CELLS:
            yield group
            group = []
        group.append((chunk, end))
    if group:
        yield group


def _row(numbers: Sequence[int], device: Any) -> Any:
    return torch.tensor([numbers], dtype=torch.long, device=device)
