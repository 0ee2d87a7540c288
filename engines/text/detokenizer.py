"""Token ids to text, as they come."""

import codecs
from collections.abc import Iterable

from codeserve.engines.text.tokenizer import Tokenizer


class Detokenizer:
    """Decodes one stream of ids; a character split over tokens appears when it is whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """``tokenizer`` knows the bytes of each token."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_ids: Iterable[int]) -> str:
        """The text that ``token_ids`` complete."""
        return self._decoder.decode(b"".join(map(self._tokenizer.piece, token_ids)))

    def finish(self) -> str:
        """What an unfinished character becomes: U+FFFD, or nothing if there is none."""
        return self._decoder.decode(b"", final=True)
