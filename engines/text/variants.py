"""Which variant the vocabulary of some weights is, in whatever format they are."""

import re
from collections.abc import Iterable
from typing import Protocol

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.text.tokenizer import Vocabulary
from codeserve.engines.types import EngineConfig
from codeserve.model_specs.spec import Fim, Variant

PLACEHOLDER = re.compile(r"\[PAD\d+\]|<dummy\d+>|<unused\d+>")
"""What converters write into rows for which the tokenizer has no token."""
MARKER = re.compile(r"<[|｜].+[|｜]>")


class DescribedVocabulary(Vocabulary, Protocol):
    """A vocabulary whose file says what its tokens are for."""

    @property
    def bos(self) -> int | None:
        """The token that every prompt starts with, if the file wants one."""

    @property
    def eos(self) -> int | None:
        """The token that ends a text."""

    @property
    def ends_of_generation(self) -> tuple[int, ...]:
        """Every token that ends a text, turn or message."""

    @property
    def fim(self) -> tuple[int, int, int] | None:
        """The tokens before the prefix, before the suffix and before the middle."""

    def text(self, token_id: int) -> str:
        """How the file writes the token; a row without a token as converters do, ``[PAD7]``."""

    def is_control(self, token_id: int) -> bool:
        """Whether the file marks the token as one that stands for no text."""

    def is_unused(self, token_id: int) -> bool:
        """Whether the file marks the row as one without a token."""


class DescribedWeights(Protocol):
    """What weights say of themselves."""

    @property
    def name(self) -> str | None:
        """The model's name."""

    @property
    def vocabulary(self) -> DescribedVocabulary:
        """Their tokens."""

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of their own chat template."""

    @property
    def trained_context_length(self) -> int:
        """Tokens that the model was trained for; 0 if the weights do not say."""


def choose(config: EngineConfig, weights: DescribedWeights) -> Variant:
    """The variant to speak to ``weights`` by.

    Raises ModelLoadError if they are none of those that ``config`` requires.
    """
    variant = recognise(config.variants, weights)
    if variant is not None:
        return variant
    if config.variant_required:
        expected = ", ".join(f"{v.family} ({v.name})" for v in config.variants)
        raise ModelLoadError(
            f"{config.path} has a vocabulary of {weights.vocabulary.size} tokens, which is "
            f"none of those expected: {expected}."
        )
    return derive(weights)


def check_context_length(asked: int, variant: Variant) -> int:
    """``asked``. Raises ModelLoadError if it is more than the model was trained for."""
    if asked > variant.context_length:
        raise ModelLoadError(
            f"context_length is {asked}, but this model was trained for "
            f"{variant.context_length} tokens."
        )
    return asked


def recognise(variants: Iterable[Variant], weights: DescribedWeights) -> Variant | None:
    """The variant whose vocabulary the weights have; None if they have none of them.

    Base and instruct models may share a vocabulary. Then weights with a chat template are those
    that chat; without, the end-of-text token decides, and last a model that does not chat is
    assumed.
    """
    vocabulary = weights.vocabulary
    matching = [variant for variant in variants if _is_vocabulary_of(variant, vocabulary)]
    has_template = weights.chat_template is not None

    def likeness(variant: Variant) -> tuple[bool, bool, bool]:
        chats = variant.chat_template is not None
        ends_alike = (
            variant.eos is not None and variant.control_tokens[variant.eos] == vocabulary.eos
        )
        return (has_template and chats, ends_alike, not chats)

    return max(matching, key=likeness, default=None)


def derive(weights: DescribedWeights) -> Variant:
    """A variant from nothing but the weights' own word.

    Control tokens are those that the file marks so, those that begin or end texts or mark a middle
    to fill, and user-defined tokens that look like markers, ``<|...|>``. Other user-defined tokens
    stand for text.
    """
    vocabulary = weights.vocabulary
    bos, eos, ends, fim = (
        vocabulary.bos,
        vocabulary.eos,
        vocabulary.ends_of_generation,
        vocabulary.fim,
    )
    padding = _padding(vocabulary)
    special = {t: i for t, i in vocabulary.special_tokens.items() if i not in padding}
    letters = {t: i for t, i in special.items() if _is_text(vocabulary, t, i)}
    named = [i for i in (bos, eos, *ends, *(fim or ())) if i is not None]
    control = {t: i for t, i in special.items() if t not in letters}
    control |= {vocabulary.text(i): i for i in named}
    return Variant(
        family=weights.name or "unknown",
        name="weights",
        context_length=weights.trained_context_length,
        vocab_rows=vocabulary.size,
        bos=None if bos is None else vocabulary.text(bos),
        eos=None if eos is None else vocabulary.text(eos),
        control_tokens=control,
        letter_tokens={t: i for t, i in letters.items() if i not in named},
        padding_rows=(padding[0], padding[-1]) if padding else None,
        stop_tokens=tuple(map(vocabulary.text, ends)),
        fim=Fim(*map(vocabulary.text, fim)) if fim else None,
        chat_template=weights.chat_template,
    )


def _is_vocabulary_of(variant: Variant, vocabulary: DescribedVocabulary) -> bool:
    if variant.vocab_rows not in (None, vocabulary.size):
        return False
    for text, token_id in variant.letter_tokens.items():
        if not _spells(vocabulary, token_id, text):
            return False
    for text, token_id in variant.control_tokens.items():
        nameless = text != variant.bos and _is_placeholder(vocabulary, token_id)
        if not nameless and not _spells(vocabulary, token_id, text):
            return False
    return True


def _spells(vocabulary: DescribedVocabulary, token_id: int, text: str) -> bool:
    return token_id < vocabulary.size and vocabulary.text(token_id) == text


def _is_placeholder(vocabulary: DescribedVocabulary, token_id: int) -> bool:
    return token_id < vocabulary.size and bool(PLACEHOLDER.fullmatch(vocabulary.text(token_id)))


def _is_text(vocabulary: DescribedVocabulary, text: str, token_id: int) -> bool:
    return not vocabulary.is_control(token_id) and not MARKER.fullmatch(text)


def _padding(vocabulary: DescribedVocabulary) -> range:
    """The rows without a token at the end of the vocabulary."""
    first = vocabulary.size
    while first > 0 and (_is_placeholder(vocabulary, first - 1) or vocabulary.is_unused(first - 1)):
        first -= 1
    return range(first, vocabulary.size)
