"""Token ids of one generation to the text that its client sees."""

from collections.abc import Iterable, Sequence

from codeserve.engines.text.detokenizer import Detokenizer
from codeserve.engines.text.stop_strings import StopStrings
from codeserve.engines.text.tokenizer import Tokenizer


class TextStream:
    """Decodes ids, hides control tokens, and ends at a stop string."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: Sequence[str] = (),
        *,
        include_stop: bool = False,
        show_control: bool = False,
    ) -> None:
        """``include_stop``: the stop string is shown; ``show_control``: control tokens are.

        Raises InvalidRequest for an empty stop string.
        """
        self._detokenizer = Detokenizer(tokenizer, show_control=show_control)
        self._stops = StopStrings(stops, include=include_stop)

    @property
    def stop(self) -> str | None:
        """The stop string that was reached; no text follows it."""
        return self._stops.matched

    @property
    def holds_text(self) -> bool:
        """Whether text is held back."""
        return self._stops.holds_text or self._detokenizer.is_within_character

    def feed(self, token_ids: Iterable[int]) -> str:
        """The text that can be shown now."""
        return self._stops.feed(self._detokenizer.feed(token_ids))

    def finish(self) -> str:
        """The text that was held back, when no more ids follow."""
        return self._stops.feed(self._detokenizer.finish()) + self._stops.finish()
