"""What of an infill's context fits into the model's."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from codeserve.app.manager.lease import LeasedModel
from codeserve.engines.worker.wire import Tokenized
from codeserve.model_specs.prompt import ContextFile
from codeserve.model_specs.segments import Ids, PromptSegments
from codeserve.model_specs.spec import Variant

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
        texts = sum(map(_length, (self.prefix, self.suffix)))
        return CONTROL_TOKENS + texts + sum(self.file_lengths)

    @property
    def file_lengths(self) -> list[int]:
        """The bytes that each file takes in a prompt."""
        return [_length(f"#{file.path}\n{file.text}\n") for file in self.files]


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that fits."""

    segments: PromptSegments
    is_cut: bool
    """It is not all that was given."""


async def fit(around: Surroundings, tokens: int, model: LeasedModel) -> FittedPrompt:
    """The prompt of ``around``, or of as much of it as ``tokens`` hold: files are left out, the
    oldest first; then the suffix loses its end and the prefix its beginning.

    Raises PromptError for a model that does not fill in a middle, and what ``model`` raises.
    """
    segments = model.prompts.fim(around.prefix, around.suffix, around.files)
    if around.longest <= tokens:
        return FittedPrompt(segments, is_cut=False)
    tokenized = await model.tokenize(segments)
    ids = cut(tokenized, around, tokens, model.info.variant)
    return FittedPrompt((Ids(ids),), is_cut=ids != tokenized.token_ids)


def cut(tokenized: Tokenized, around: Surroundings, most: int, variant: Variant) -> tuple[int, ...]:
    """As much of the prompt of ``around`` as ``most`` tokens hold, which are at least those that
    control."""
    if len(tokenized.token_ids) <= most:
        return tokenized.token_ids
    kept = _without_files(tokenized, around.file_lengths, most, variant)
    return _shortened(kept, most, variant)


def _without_files(
    tokenized: Tokenized, file_lengths: list[int], most: int, variant: Variant
) -> tuple[int, ...]:
    """The prompt from the first file on from which it has at most ``most`` tokens, or without
    files."""
    ids = tokenized.token_ids
    bos = ids[: variant.bos is not None]
    begin, _, _ = _markers(ids, variant)
    starts = _starts(tokenized.spellings[len(bos) : begin], file_lengths)
    for start in starts:
        if len(ids) - start <= most:
            return bos + ids[len(bos) + start :]
    return bos + ids[begin:]


def _starts(spellings: tuple[bytes, ...], lengths: list[int]) -> Iterator[int]:
    """The tokens at which the texts of those ``lengths`` in bytes begin, but for the first."""
    ends = list(accumulate(map(len, spellings)))
    token = 0
    for start in accumulate(lengths[:-1]):
        while token < len(ends) and ends[token] <= start:
            token += 1
        yield token


def _shortened(ids: tuple[int, ...], most: int, variant: Variant) -> tuple[int, ...]:
    """A prompt that has at most ``most`` tokens, cut where it is farthest from the hole."""
    begin, hole, end = _markers(ids, variant)
    excess = len(ids) - most
    if excess <= 0:
        return ids
    prefix, suffix = hole - begin - 1, end - hole - 1
    room = max(prefix + suffix - excess, 0)
    suffix = min(suffix, max(int(room * SUFFIX_SHARE), room - prefix))
    first = hole - (room - suffix)
    return ids[: begin + 1] + ids[first : hole + 1 + suffix] + ids[end:]


def _markers(ids: tuple[int, ...], variant: Variant) -> tuple[int, int, int]:
    """Where the tokens are that mark the beginning, the hole and the end."""
    form = variant.fim
    assert form is not None, "the prompt was made with it"
    begin, hole, end = (
        ids.index(variant.control_tokens[token]) for token in (form.begin, form.hole, form.end)
    )
    return begin, hole, end


def _length(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
