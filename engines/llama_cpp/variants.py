"""Which variant a file's vocabulary is."""

import re
from collections.abc import Iterable

import llama_cpp

from codeserve.engines.llama_cpp.vocabulary import LlamaVocabulary
from codeserve.engines.llama_cpp.weights import Weights
from codeserve.model_specs.spec import Fim, Variant

PLACEHOLDER = re.compile(r"\[PAD\d+\]|<dummy\d+>|<unused\d+>")
"""What converters write into rows for which the tokenizer has no token."""
MARKER = re.compile(r"<[|｜].+[|｜]>")


def recognise(variants: Iterable[Variant], weights: Weights) -> Variant | None:
    """The variant whose vocabulary the file has; None if it has none of them.

    Base and instruct models may share a vocabulary. Then a file with a chat template is one that
    chats; without, the end-of-text token decides, and last a model that does not chat is assumed.
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


def derive(weights: Weights) -> Variant:
    """A variant from nothing but the file's own word.

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
        family=weights.metadata("general.name") or "unknown",
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


def _is_vocabulary_of(variant: Variant, vocabulary: LlamaVocabulary) -> bool:
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


def _spells(vocabulary: LlamaVocabulary, token_id: int, text: str) -> bool:
    return token_id < vocabulary.size and vocabulary.text(token_id) == text


def _is_placeholder(vocabulary: LlamaVocabulary, token_id: int) -> bool:
    return token_id < vocabulary.size and bool(PLACEHOLDER.fullmatch(vocabulary.text(token_id)))


def _is_text(vocabulary: LlamaVocabulary, text: str, token_id: int) -> bool:
    marked = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
    return not vocabulary.has(token_id, marked) and not MARKER.fullmatch(text)


def _padding(vocabulary: LlamaVocabulary) -> range:
    """The rows without a token at the end of the vocabulary."""
    first = vocabulary.size
    while first > 0 and (
        _is_placeholder(vocabulary, first - 1)
        or vocabulary.has(first - 1, llama_cpp.LLAMA_TOKEN_ATTR_UNUSED)
    ):
        first -= 1
    return range(first, vocabulary.size)
