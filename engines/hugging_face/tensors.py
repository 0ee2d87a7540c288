"""What a folder's weights hold, from the headers of their files."""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from codeserve.engines.errors import ModelLoadError
from codeserve.engines.hugging_face.documents import read_document

INDEX = "model.safetensors.index.json"
PICKLES = "pytorch_model*.bin"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the format's own library."""
LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Tensor:
    """One entry of a header."""

    name: str
    dtype: str
    """In the format's words: ``F32``, ``BF16``, ``I32``, ``U8``, ..."""
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        """Number of stored numbers."""
        return prod(self.shape)


def read_tensors(folder: Path) -> tuple[Tensor, ...]:
    """Every tensor of the folder's safetensors files; none if PyTorch's own files hold them.

    Raises ModelLoadError if there are no weights, a file of theirs is missing or cut short.
    """
    files = _files(folder)
    if not files and not any(folder.glob(PICKLES)):
        raise ModelLoadError(f"{folder} holds no weights: no .safetensors and no {PICKLES} files.")
    return tuple(tensor for file in files for tensor in _header(file))


def pickled_bytes(folder: Path) -> int:
    """Size of the weights in PyTorch's own files."""
    return sum(file.stat().st_size for file in folder.glob(PICKLES))


def _files(folder: Path) -> list[Path]:
    if not (folder / INDEX).exists():
        whole = folder / "model.safetensors"
        return [whole] if whole.exists() else sorted(folder.glob("*.safetensors"))
    parts = read_document(folder / INDEX).get("weight_map")
    if not isinstance(parts, Mapping) or not parts:
        raise ModelLoadError(f"{folder / INDEX} names no files in its weight_map.")
    files = [folder / str(name) for name in sorted(set(parts.values()))]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise ModelLoadError(f"{folder} is incomplete: {_listed(missing)} missing.")
    return files


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _header(file: Path) -> Iterator[Tensor]:
    try:
        with file.open("rb") as stream:
            head = stream.read(LENGTH.size)
            length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
            text = stream.read(length) if 0 < length <= LONGEST_HEADER else b""
        entries = json.loads(text)
        yield from _entries(file, length, entries)
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{file} is not a whole safetensors file.") from error


def _entries(file: Path, length: int, entries: Mapping[str, Any]) -> Iterable[Tensor]:
    tensors, end = [], 0
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        tensors.append(Tensor(name, entry["dtype"], tuple(entry["shape"]), last - first))
        end = max(end, last)
    expected, found = LENGTH.size + length + end, file.stat().st_size
    if found < expected:
        raise ModelLoadError(f"{file} is cut short: {found} of {expected} bytes.")
    return tensors
