"""Examples from which the tiny model learns, and others that show what it has learnt.

Everything is made from a few word lists, so that names, operators, numbers and phrasings meet in
far more combinations than are trained. One combination in ten is held out by a checksum of its
text: `held_out` yields only those, `training` never does.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Mapping

from tests.models.chat_examples import FIXED_ANSWERS, chat
from tests.models.code_examples import completion, fim
from tests.models.examples import ChatExample, CompletionExample, Example, FimExample

__all__ = [
    "MAKERS",
    "ChatExample",
    "CompletionExample",
    "Example",
    "FimExample",
    "held_out",
    "is_held_out",
    "training",
]

MAKERS: dict[str, Callable[[random.Random], Example]] = {
    "completion": completion,
    "fim": fim,
    "chat": chat,
}


def is_held_out(example: Example) -> bool:
    """True for one example in ten, never for the fixed answers and the counting."""
    if isinstance(example, ChatExample) and (
        example.messages[-1] in {("user", question) for question, _ in FIXED_ANSWERS}
        or example.messages[-1][1].startswith(("Count", "Thank"))
    ):
        return False
    return zlib.crc32(repr(example).encode()) % 10 == 0


def training(seed: int, shares: Mapping[str, float]) -> Iterator[Example]:
    """Endless examples to learn from; `shares` weighs the kinds of `MAKERS`."""
    rng = random.Random(seed)
    kinds, weights = list(shares), list(shares.values())
    while True:
        example = MAKERS[rng.choices(kinds, weights)[0]](rng)
        if not is_held_out(example):
            yield example


def held_out(kind: str, seed: int = 1) -> Iterator[Example]:
    """Endless examples of one kind of `MAKERS` that were never trained."""
    rng = random.Random(seed)
    while True:
        example = MAKERS[kind](rng)
        if is_held_out(example):
            yield example
