"""Byte-level BPE: each byte of a text is written as one visible character."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.documents import Document

VISIBLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that are written as the character of the same number; others as those from 0x100 on."""


def _alphabet() -> Iterator[tuple[str, int]]:
    yield from ((chr(byte), byte) for byte in VISIBLE)
    hidden = sorted(set(range(0x100)) - set(VISIBLE))
    yield from ((chr(0x100 + place), byte) for place, byte in enumerate(hidden))


ALPHABET = dict(_alphabet())


def bytes_of(token: str) -> bytes:
    """The bytes that an ordinary token stands for; its own if it is not written in the alphabet."""
    try:
        return bytes(map(ALPHABET.__getitem__, token))
    except KeyError:
        return token.encode()


def check_byte_level(path: Path, tokenizer: Document) -> None:
    """Raise ModelLoadError unless ``tokenizer``, the content of ``path``, is byte-level BPE."""
    model = tokenizer.get("model")
    kind = model.get("type", "BPE") if isinstance(model, Mapping) else "unknown"
    steps = list(_steps(tokenizer.get("pre_tokenizer")))
    if kind == "BPE" and "ByteLevel" in steps:
        return
    found = f"{kind} with {', '.join(steps)}" if steps else f"{kind} without a pre-tokenizer"
    raise ModelLoadError(
        f"{path} is a tokenizer of another kind: {found}. Only byte-level BPE can be served from "
        "a folder."
    )


def _steps(pre_tokenizer: Any) -> Iterator[str]:
    if isinstance(pre_tokenizer, Mapping):
        for inner in pre_tokenizer.get("pretokenizers") or ():
            yield from _steps(inner)
        if pre_tokenizer.get("type") != "Sequence":
            yield str(pre_tokenizer.get("type"))
