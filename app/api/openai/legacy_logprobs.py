"""The log-probabilities of completions: four arrays, an entry of each for every token."""

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from typing_extensions import TypedDict

from codeserve.app.api.generation.logprobs import finite
from codeserve.engines.types import NamedToken, PromptReport, TokenLogprobs


class LegacyLogprobs(TypedDict):
    """OpenAI's ``logprobs`` of a completion."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Entry(NamedTuple):
    """One token: its name, its log-probability, the likeliest tokens, and where it begins."""

    token: str
    logprob: float | None
    top: dict[str, float] | None
    offset: int


class TokenLog:
    """The tokens of one choice in the order of its text, with their places in it.

    A place is counted in characters; the tokens of a character that several tokens share all have
    the place of the character.
    """

    def __init__(self, alternatives: int, *, shows_ids: bool, shows_control: bool) -> None:
        """``alternatives``: how many of the likeliest tokens are shown. ``shows_ids``: tokens are
        named by their ids. ``shows_control``: control tokens are part of the text."""
        self._alternatives = alternatives
        self._shows_ids = shows_ids
        self._shows_control = shows_control
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def prompt(self, report: PromptReport, bos: int | None) -> Iterator[Entry]:
        """The tokens of an echoed prompt; a BOS at its start, which ``bos`` is, has no text."""
        rows = zip(report.token_ids, report.spellings, report.logprobs, strict=True)
        for place, (token_id, spelling, scored) in enumerate(rows):
            has_text = place > 0 or token_id != bos
            yield self._entry(self._name(token_id, spelling), scored, spelling if has_text else b"")
        self._offset = len(report.text)
        self._decoder.reset()

    def generated(self, tokens: Iterable[TokenLogprobs]) -> Iterator[Entry]:
        """The next tokens of the answer."""
        for token in tokens:
            chosen = token.chosen
            has_text = chosen.is_text or self._shows_control
            yield self._entry(self._name_of(chosen), token, chosen.spelling if has_text else b"")

    def _entry(self, name: str, scored: TokenLogprobs | None, text: bytes) -> Entry:
        offset = self._offset
        self._offset += len(self._decoder.decode(text))
        if scored is None:
            return Entry(name, None, None, offset)
        logprob = finite(scored.chosen.logprob)
        top: dict[str, float] = {}
        for other in scored.top[: self._alternatives]:
            top.setdefault(self._name_of(other), finite(other.logprob))
        top[name] = logprob
        return Entry(name, logprob, top, offset)

    def _name_of(self, token: NamedToken) -> str:
        return self._name(token.token_id, token.spelling)

    def _name(self, token_id: int, spelling: bytes) -> str:
        if self._shows_ids:
            return f"token_id:{token_id}"
        try:
            return spelling.decode()
        except UnicodeDecodeError:
            return "bytes:" + spelling.decode("ascii", "backslashreplace")


def legacy_logprobs(entries: Iterable[Entry]) -> LegacyLogprobs:
    """``entries`` as OpenAI's four arrays."""
    rows = list(entries)
    return LegacyLogprobs(
        tokens=[entry.token for entry in rows],
        token_logprobs=[entry.logprob for entry in rows],
        top_logprobs=[entry.top for entry in rows],
        text_offset=[entry.offset for entry in rows],
    )
