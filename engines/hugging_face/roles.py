"""What the tokens of a folder are for, by its configuration and by their spellings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


@dataclass(frozen=True)
class Roles:
    """Token ids by what they do."""

    bos: int | None
    """What every prompt starts with; None if the folder wants nothing there."""
    eos: int | None
    ends: tuple[int, ...]
    """What ends a text, turn or message, in ascending order."""
    fim: tuple[int, int, int] | None
    """What goes before the prefix, before the suffix and before the middle."""
    control: frozenset[int]
    """What stands for no text."""


@dataclass(frozen=True)
class Sources:
    """The files that say what tokens are for."""

    path: Path
    tokenizer: Document
    """``tokenizer.json``"""
    settings: Document
    """``tokenizer_config.json``"""
    generation: Document
    """``generation_config.json``"""
    config: Document
    """``config.json``"""


def read_roles(sources: Sources, ids: Mapping[str, int], special: Iterable[int]) -> Roles:
    """``ids``: of every token; ``special``: those that the tokenizer itself marks so.

    Raises ModelLoadError if BOS or EOS is a token that the vocabulary does not have.
    """
    settings = sources.settings
    bos = _named(sources, "bos", ids)
    declared = [*_declared(sources.generation), *_declared(sources.config)]
    eos = _named(sources, "eos", ids)
    if eos is None and declared:
        eos = declared[0]
    spelled = [ids[text] for text in ENDS if text in ids]
    spellings = [_spelling(settings.get(f"{name}_token")) for name in NAMED]
    spellings += map(_spelling, settings.get("additional_special_tokens") or ())
    named = {ids[text] for text in spellings if text is not None and text in ids}
    ends = {*declared, *spelled, *([] if eos is None else [eos])}
    return Roles(
        bos=bos if _adds_bos(sources, ids) else None,
        eos=eos,
        ends=tuple(sorted(ends)),
        fim=next(_fim(ids), None),
        control=frozenset({*special, *named, *ends}),
    )


def _named(sources: Sources, name: str, ids: Mapping[str, int]) -> int | None:
    text = _spelling(sources.settings.get(f"{name}_token"))
    if text is None:
        return None
    if text not in ids:
        raise ModelLoadError(
            f"{sources.path / 'tokenizer_config.json'} names {text!r} as its {name}_token, which "
            "tokenizer.json does not have."
        )
    return ids[text]


def _spelling(token: Any) -> str | None:
    """A token is written as its text, or as an object with it."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _declared(config: Document) -> list[int]:
    ids = config.get("eos_token_id")
    return [i for i in (ids if isinstance(ids, list) else [ids]) if isinstance(i, int)]


def _adds_bos(sources: Sources, ids: Mapping[str, int]) -> bool:
    """As the folder says; else as its post-processor does; else as its tokenizer class does."""
    said = sources.settings.get("add_bos_token")
    if isinstance(said, bool):
        return said
    if _starts_with_special(sources.tokenizer.get("post_processor")):
        return True
    return str(sources.settings.get("tokenizer_class")).startswith(("Llama", "CodeLlama"))


def _starts_with_special(processor: Any) -> bool:
    if not isinstance(processor, Mapping):
        return False
    if processor.get("type") == "Sequence":
        return any(map(_starts_with_special, processor.get("processors") or ()))
    single = processor.get("single")
    return processor.get("type") == "TemplateProcessing" and "SpecialToken" in (single or [{}])[0]


def _fim(ids: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    for begin, hole, end in FIM:
        if begin in ids and hole in ids and end in ids:
            yield ids[begin], ids[hole], ids[end]
