"""Segments to token ids, the same for every engine."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from codeserve.model_specs.segments import Segment
from codeserve.model_specs.spec import Variant


class Vocabulary(Protocol):
    """An engine's own tokenizer, as raw as it comes."""

    @property
    def size(self) -> int:
        """Number of ids, padding rows included."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Text to id of every token that ``encode`` might recognise as one by its spelling."""

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` without BOS; may turn the spelling of a special token into its id."""

    def piece(self, token_id: int) -> bytes:
        """The bytes that a token stands for, which may be part of a character."""


class Tokenizer:
    """The one place where text becomes token ids (to be written)."""

    def __init__(self, vocabulary: Vocabulary, variant: Variant) -> None: ...

    def encode(self, segments: Iterable[Segment]) -> list[int]: ...

    def piece(self, token_id: int) -> bytes: ...
