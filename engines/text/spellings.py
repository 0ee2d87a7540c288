"""How a text that spells a special token is kept plain text."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise


class Spellings:
    """Cuts texts inside every spelling of a special token.

    Some tokenizers, llama.cpp's among them, turn the spelling of an added token into its id even
    when asked not to parse special tokens. Encoding a text in parts, each of which contains no
    whole spelling, prevents it. The ids are still those of byte-pair encoding the whole text:

    - a cut lies between a letter and a character that is none, where pre-tokenizers end a word
      on their own, so the words on both sides stay the same;
    - and between two bytes that no ordinary token contains side by side, so even inside a word no
      merge would reach across.

    A spelling without such a place is cut at the best one that it has.
    """

    def __init__(self, spellings: Iterable[str], ordinary: bytes) -> None:
        """``ordinary``: the bytes of every token that is not special, with line feeds between."""
        known = [spelling for spelling in spellings if len(spelling) > 1]
        pairs = {pair for spelling in known for pair in map(bytes, pairwise(spelling.encode()))}
        joined = {pair for pair in pairs if pair in ordinary}
        self._cuts = {spelling: _best_cut(spelling, joined) for spelling in known}
        self._pattern = re.compile(_start_of_any(known)) if known else None

    def disarm(self, text: str) -> Iterator[str]:
        """The parts of ``text``, in order, to be encoded one by one."""
        if self._pattern is None:
            yield text
            return
        start = 0
        for match in self._pattern.finditer(text):
            spelling = match[0] + match[match.lastindex or 0]
            cut = match.start() + self._cuts[spelling]
            if cut > start:
                yield text[start:cut]
                start = cut
        yield text[start:]


def _start_of_any(spellings: Iterable[str]) -> str:
    """A pattern that consumes the first character of a spelling and looks ahead at the rest.

    So it also finds spellings that overlap. Of several that start at one place it finds the
    shortest, whose cut breaks the longer ones too.
    """
    tails: dict[str, list[str]] = {}
    for spelling in sorted(spellings, key=len):
        tails.setdefault(spelling[0], []).append(re.escape(spelling[1:]))
    return "|".join(f"{re.escape(head)}(?=({'|'.join(tail)}))" for head, tail in tails.items())


def _best_cut(spelling: str, joined: set[bytes]) -> int:
    def badness(cut: int) -> tuple[bool, bool]:
        before, after = spelling[cut - 1], spelling[cut]
        ends_word = before.isalpha() and not after.isalpha() and after != "'"
        return before.encode()[-1:] + after.encode()[:1] in joined, not ends_word

    return min(range(1, len(spelling)), key=badness)
