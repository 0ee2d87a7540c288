"""Token ids of one generation to the text that its client sees."""

from collections.abc import Iterable, Sequence

from codeserve.engines.text.detokenizer import Detokenizer
from codeserve.engines.text.stop_strings import StopStrings
from codeserve.engines.text.tokenizer import Tokenizer


class TextStream:
    """Decodes ids, hides control tokens, and ends at a stop string."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        """Raises InvalidRequest for an empty stop string."""
        self._detokenizer = Detokenizer(tokenizer)
        self._stops = StopStrings(stops)

    @property
    def stop(self) -> str | None:
        """The stop string that was reached; no text follows it."""
        return self._stops.matched

    def feed(self, token_ids: Iterable[int]) -> str:
        """The text that can be shown now."""
        return self._stops.feed(self._detokenizer.feed(token_ids))

    def finish(self) -> str:
        """The text that was held back, when no more ids follow."""
        return self._stops.feed(self._detokenizer.finish()) + self._stops.finish()
