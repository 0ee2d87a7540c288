"""Chunks without a scheduler."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Implements ``Chunk``."""

    slot: int
    token_ids: Sequence[int]
    start: int = 0
    samples: bool = True
    drafts: int = 0
    scores_prompt: bool = False


def scored(slot: int, token_ids: Sequence[int], start: int = 0) -> Piece:
    """A piece that wants logits after each of its tokens."""
    return Piece(slot, token_ids, start, scores_prompt=True)


def some_ids(count: int, seed: int) -> list[int]:
    """Token ids in no order."""
    return [(seed * 7919 + index * index * 31 + index * 101) % 32000 for index in range(count)]
