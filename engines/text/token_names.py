"""Scores of token ids as clients see them, together with the text that they belong to."""

import codecs
from collections.abc import Sequence

import msgspec

from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import NamedToken, TokenLogprobs, TokenScore


class TokenNames:
    """Gives tokens their spellings."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """``tokenizer`` knows the bytes of each token."""
        self._tokenizer = tokenizer

    def named(self, token_id: int, score: TokenScore) -> TokenLogprobs:
        """``score``, which is that of ``token_id``."""
        return TokenLogprobs(
            chosen=self._token(token_id, score.logprob),
            rank=score.rank,
            top=tuple(self._token(other, logprob) for other, logprob in score.top),
        )

    def _token(self, token_id: int, logprob: float) -> NamedToken:
        is_text = not self._tokenizer.is_control(token_id)
        return NamedToken(token_id, self._tokenizer.spelling(token_id), logprob, is_text)


class ShownLogprobs:
    """Passes the log-probabilities of one stream's tokens on when their text is shown.

    So those of text that a stop string cuts off are never shown; those of a token that it cuts
    through keep the bytes before it.
    """

    def __init__(self) -> None:
        self._waiting: list[TokenLogprobs] = []
        self._shown = ""

    def feed(
        self, added: Sequence[TokenLogprobs], text: str, *, holds_text: bool
    ) -> tuple[TokenLogprobs, ...]:
        """Those that can be shown, now that ``text`` is; ``holds_text``: other text is not."""
        self._waiting += added
        self._shown += text
        if holds_text:
            return ()
        return self._release()

    def finish(self, *, is_cut: bool) -> tuple[TokenLogprobs, ...]:
        """The last ones; ``is_cut``: no text is shown after what has been."""
        if is_cut:
            self._waiting = _within(self._waiting, self._shown)
        return self._release()

    def _release(self) -> tuple[TokenLogprobs, ...]:
        released, self._waiting, self._shown = tuple(self._waiting), [], ""
        return released


def _within(tokens: Sequence[TokenLogprobs], text: str) -> list[TokenLogprobs]:
    """The tokens that begin within ``text``; the last one only as far as it reaches."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    kept: list[TokenLogprobs] = []
    length = 0
    for token in tokens:
        if length >= len(text):
            break
        piece = token.chosen.spelling if token.chosen.is_text else b""
        added = decoder.decode(piece)
        if length + len(added) > len(text):
            visible = added[: len(text) - length].encode()
            chosen = msgspec.structs.replace(token.chosen, spelling=visible)
            token = msgspec.structs.replace(token, chosen=chosen)
        length += len(added)
        kept.append(token)
    return kept
