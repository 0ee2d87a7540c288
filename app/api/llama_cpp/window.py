"""What of an infill's context fits into the model's."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.worker.wire import Tokenized
from codeserve.model_specs.prompt import ContextFile
from codeserve.model_specs.segments import Content

CONTROL_TOKENS = 4
"""BOS and the three of the infill."""

SUFFIX_SHARE = 0.25
"""Of prefix and suffix together, where both are too long; as in llama.cpp."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The text around a hole, and other files, oldest first."""

    prefix: str
    suffix: str
    files: tuple[ContextFile, ...] = ()

    @property
    def longest(self) -> int:
        """More tokens than this it cannot have, as none stands for less than a byte."""
        texts = (self.prefix, self.suffix, *map(_text, self.files))
        return CONTROL_TOKENS + sum(len(text.encode(errors="surrogatepass")) for text in texts)


async def fit(around: Surroundings, tokens: int, model: LeasedModel) -> Surroundings:
    """``around``, or as much of it as ``tokens`` hold: files are left out, the oldest first; then
    the suffix loses its end and the prefix its beginning.

    Raises what ``model`` raises.
    """
    if around.longest <= tokens:
        return around
    texts = (around.prefix, around.suffix, *map(_text, around.files))
    tokenized = await asyncio.gather(*(model.tokenize((Content(text),)) for text in texts))
    prefix, suffix, *files = tokenized
    room = max(tokens - CONTROL_TOKENS, 0)
    sizes = [len(file.token_ids) for file in files]
    left = room - len(prefix.token_ids) - len(suffix.token_ids)
    if left >= 0:
        return Surroundings(around.prefix, around.suffix, _newest(around.files, sizes, left))
    most_suffix = max(int(room * SUFFIX_SHARE), room - len(prefix.token_ids))
    kept_suffix = min(len(suffix.token_ids), most_suffix)
    return Surroundings(
        prefix=_join(prefix, len(prefix.token_ids) - (room - kept_suffix), None),
        suffix=_join(suffix, 0, kept_suffix),
    )


def _newest(
    files: Sequence[ContextFile], sizes: Sequence[int], room: int
) -> tuple[ContextFile, ...]:
    """The last of ``files`` that fit together into ``room`` tokens."""
    first = len(files)
    while first > 0 and sizes[first - 1] <= room:
        first -= 1
        room -= sizes[first]
    return tuple(files[first:])


def _join(tokenized: Tokenized, first: int, end: int | None) -> str:
    """The text of some of the tokens, without the parts of characters that a cut has left."""
    return b"".join(tokenized.spellings[max(first, 0) : end]).decode(errors="ignore")


def _text(file: ContextFile) -> str:
    """What the file becomes in a prompt."""
    return f"#{file.path}\n{file.text}\n"
