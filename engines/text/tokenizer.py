"""Segments to token ids and back, the same for every engine."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from codeserve.engines.errors import InvalidRequest
from codeserve.engines.text.spellings import Spellings
from codeserve.model_specs.segments import Content, Control, Ids, Segment, Text
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

    def join(self, token_ids: Sequence[int]) -> bytes:
        """The bytes of many tokens, one after the other, faster than by ``piece``."""


class Tokenizer:
    """The one place where text becomes token ids and token ids become text.

    Control tokens come from ``Control`` segments only: their spelling in ``Text`` or ``Content``
    is encoded as the ordinary characters it consists of. Letter tokens of the variant, such as
    ``ü``, are text: each becomes its id, as in the published tokenizers, whatever type a weights
    file gives it.
    """

    def __init__(self, vocabulary: Vocabulary, variant: Variant) -> None:
        """``variant`` says which of the vocabulary's special tokens control and which are text."""
        self._vocabulary = vocabulary
        letters = {token_id: text for text, token_id in variant.letter_tokens.items()}
        special = {t: i for t, i in vocabulary.special_tokens.items() if i not in letters}
        self._control = special | dict(variant.control_tokens)
        self.bos: int | None = None if variant.bos is None else self._control.get(variant.bos)
        """The id that starts every prompt."""
        first, last = variant.padding_rows or (0, -1)
        self.never_sampled: tuple[int, ...] = tuple(range(first, last + 1))
        """The padding rows: ids without a token."""
        hidden = {*self._control.values(), *self.never_sampled}
        ordinary = (i for i in range(vocabulary.size) if i not in hidden)
        self._spellings = Spellings(special, _lines(vocabulary, ordinary))
        self._letters = variant.letter_tokens
        longest_first = sorted(self._letters, key=len, reverse=True)
        any_letter = "|".join(map(re.escape, longest_first))
        self._letter_pattern = re.compile(f"({any_letter})") if any_letter else None
        self._names = {token_id: name.encode() for name, token_id in self._control.items()}
        self._pieces = dict.fromkeys(hidden, b"") | {i: t.encode() for i, t in letters.items()}

    def encode(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of a prompt, exactly as its segments say: nothing is added.

        Raises InvalidRequest for an id that the vocabulary does not have, and for text with an
        unpaired surrogate.
        """
        ids: list[int] = []
        run: list[str] = []
        for segment in segments:
            match segment:
                case Text(text) | Content(text):
                    run.append(text)
                case Control(token):
                    ids += self._encode_plain("".join(run))
                    run.clear()
                    ids.append(self._control_id(token))
                case Ids(given):
                    ids += self._encode_plain("".join(run))
                    run.clear()
                    ids += self._checked(given)
        ids += self._encode_plain("".join(run))
        return ids

    def piece(self, token_id: int) -> bytes:
        """The bytes to show for a token: none for control tokens and padding rows.

        Raises IndexError for an id that the vocabulary does not have.
        """
        piece = self._pieces.get(token_id)
        if piece is None:
            if not 0 <= token_id < self._vocabulary.size:
                raise IndexError(f"token id {token_id} is outside the vocabulary")
            piece = self._pieces[token_id] = self._vocabulary.piece(token_id)
        return piece

    def spelling(self, token_id: int) -> bytes:
        """The bytes of a token; of a control token, those of its name.

        Raises IndexError for an id that the vocabulary does not have.
        """
        return self._names.get(token_id) or self.piece(token_id)

    def is_control(self, token_id: int) -> bool:
        """Whether the token stands for no text."""
        return token_id in self._names

    def report(self, token_ids: Sequence[int]) -> str:
        """The text of a prompt: control tokens by their names, without a BOS at the start."""
        ids = token_ids[1:] if token_ids and token_ids[0] == self.bos else token_ids
        return b"".join(map(self.spelling, ids)).decode(errors="replace")

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text to show for ``token_ids``; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.piece, token_ids)).decode(errors="replace")

    def _encode_plain(self, text: str) -> Iterator[int]:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"The text contains U+{ord(text[error.start]):04X}, half of a surrogate pair, "
                "which is not a character. Send well-formed Unicode."
            ) from error
        parts = [text] if self._letter_pattern is None else self._letter_pattern.split(text)
        for index, part in enumerate(parts):
            if index % 2:
                yield self._letters[part]
            else:
                for plain in self._spellings.disarm(part):
                    yield from self._vocabulary.encode(plain)

    def _control_id(self, token: str) -> int:
        try:
            return self._control[token]
        except KeyError:
            raise InvalidRequest(f"This model's vocabulary has no token {token!r}.") from None

    def _checked(self, token_ids: Sequence[int]) -> Sequence[int]:
        size = self._vocabulary.size
        for token_id in token_ids:
            if not 0 <= token_id < size:
                raise InvalidRequest(
                    f"Token id {token_id} is outside this model's vocabulary, 0 to {size - 1}.",
                    param="prompt",
                )
        return token_ids


def _lines(vocabulary: Vocabulary, token_ids: Iterable[int]) -> bytes:
    """The bytes of each of ``token_ids`` and a line feed."""
    line_feed = vocabulary.encode("\n")
    return vocabulary.join([i for token_id in token_ids for i in (token_id, *line_feed)])
