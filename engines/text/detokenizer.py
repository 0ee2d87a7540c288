"""Token ids to text, as they come."""

import codecs
from collections.abc import Callable, Iterable

from codeserve.engines.text.tokenizer import Tokenizer


class Detokenizer:
    """Decodes one stream of ids; a character split over tokens appears when it is whole."""

    def __init__(self, tokenizer: Tokenizer, *, show_control: bool = False) -> None:
        """``tokenizer`` knows the bytes of each token; ``show_control`` shows control tokens by
        their names."""
        self._piece: Callable[[int], bytes] = (
            tokenizer.spelling if show_control else tokenizer.piece
        )
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    @property
    def is_within_character(self) -> bool:
        """Whether bytes are held back because their character is not whole yet."""
        return bool(self._decoder.getstate()[0])

    def feed(self, token_ids: Iterable[int]) -> str:
        """The text that ``token_ids`` complete."""
        return self._decoder.decode(b"".join(map(self._piece, token_ids)))

    def finish(self) -> str:
        """What an unfinished character becomes: U+FFFD, or nothing if there is none."""
        return self._decoder.decode(b"", final=True)
