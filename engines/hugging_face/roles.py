"""What the tokens of a folder are for, by its configuration and by their spellings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.documents import Document

FIM = (
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<PRE>", "<SUF>", "<MID>"),
)
"""The spellings of what marks prefix, suffix and middle, by family."""

ENDS = (
    "<｜end▁of▁sentence｜>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<EOT>",
    "[EOT]",
    "[EOS]",
)
"""The spellings of what ends a text, turn or message, whatever the configuration names."""


class Token(msgspec.Struct, frozen=True):
    """An added token as a configuration writes it."""

    content: str
    special: bool = False


class NamedTemplate(msgspec.Struct, frozen=True):
    """One of several chat templates."""

    name: str
    template: str


class TokenizerSettings(msgspec.Struct, frozen=True):
    """``tokenizer_config.json``, as far as it says what ``tokenizer.json`` does not."""

    tokenizer_class: str | None = None
    bos_token: str | Token | None = None
    eos_token: str | Token | None = None
    add_bos_token: bool | None = None
    added_tokens_decoder: dict[int, Token] = {}
    chat_template: str | tuple[NamedTemplate, ...] | None = None


class Ends(msgspec.Struct, frozen=True):
    """What ``generation_config.json`` and ``config.json`` say of the end of a text."""

    eos_token_id: int | tuple[int, ...] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """However many there are."""
        ids = self.eos_token_id
        return () if ids is None else (ids,) if isinstance(ids, int) else ids


@dataclass(frozen=True)
class Roles:
    """Token ids by what they do."""

    bos: int | None
    """What every prompt starts with; None if the folder wants nothing there."""
    eos: int | None
    """What ends a text."""
    ends: tuple[int, ...]
    """What ends a text, turn or message, in ascending order."""
    fim: tuple[int, int, int] | None
    """What goes before the prefix, before the suffix and before the middle."""


def read_roles(
    settings: TokenizerSettings,
    ends: tuple[int, ...],
    tokenizer: Document,
    ids: Mapping[str, int],
) -> Roles:
    """The roles of the tokens ``ids``.

    ``ends``: ids that the configuration names, the first one first; ``tokenizer``: the content of
    ``tokenizer.json``. Raises ModelLoadError if the vocabulary does not have BOS or EOS.
    """
    bos = _named("bos_token", settings.bos_token, ids)
    eos = _named("eos_token", settings.eos_token, ids)
    if eos is None and ends:
        eos = ends[0]
    spelled = [ids[text] for text in ENDS if text in ids]
    return Roles(
        bos=bos if _adds_bos(settings, tokenizer) else None,
        eos=eos,
        ends=tuple(sorted({*ends, *spelled, *([] if eos is None else [eos])})),
        fim=next(_fim(ids), None),
    )


def _named(name: str, token: str | Token | None, ids: Mapping[str, int]) -> int | None:
    text = token.content if isinstance(token, Token) else token
    if text is not None and text not in ids:
        raise ModelLoadError(
            f"tokenizer_config.json names {text!r} as the {name}, but tokenizer.json has no such "
            "token."
        )
    return None if text is None else ids[text]


def _adds_bos(settings: TokenizerSettings, tokenizer: Document) -> bool:
    """As the folder says; else as its post-processor does; else as its tokenizer class does."""
    if settings.add_bos_token is not None:
        return settings.add_bos_token
    if _starts_with_special(tokenizer.get("post_processor")):
        return True
    return (settings.tokenizer_class or "").startswith(("Llama", "CodeLlama"))


def _starts_with_special(processor: Any) -> bool:
    match processor:
        case {"type": "Sequence", "processors": [*processors]}:
            return any(map(_starts_with_special, processors))
        case {"type": "TemplateProcessing", "single": [{"SpecialToken": _}, *_]}:
            return True
    return False


def _fim(ids: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    for begin, hole, end in FIM:
        if begin in ids and hole in ids and end in ids:
            yield ids[begin], ids[hole], ids[end]
