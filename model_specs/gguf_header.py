"""The head of a GGUF file, read without llama.cpp: scalars and tensors, no token list.

Arrays are skipped, because a vocabulary's would take seconds and much memory as Python objects.
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from codeserve.model_specs.errors import WeightsError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LONGEST_HEADER = 64 * 1024 * 1024
"""Bytes of the head that are looked at; real ones, which hold the vocabulary, take up to 20 MB."""
MOST_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32
PART = re.compile(r"(.*)-00001-of-(\d{5})\.gguf", re.IGNORECASE)

Scalar = int | float | bool | str

_SCALARS: Mapping[int, struct.Struct] = {
    number: struct.Struct(f"<{code}") for number, code in enumerate("BbHhIif?") if code
} | {10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d")}
_STRING, _ARRAY = 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

_BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 30: (1, 2),  # F32, F16, BF16
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),  # Q4_0 to Q8_0
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),  # Q2_K to Q6_K
    20: (32, 18), 23: (256, 136),  # IQ4_NL, IQ4_XS
}  # fmt: skip
"""Numbers of a block and its bytes, by ggml's number of the type."""


@dataclass(frozen=True)
class GgufTensor:
    """One entry of the head."""

    name: str
    shape: tuple[int, ...]
    """The fastest dimension first."""
    kind: int
    """ggml's number of the type."""
    offset: int
    """From the start of the data."""

    @property
    def bytes(self) -> int | None:
        """Its size; None for a type that is not known here."""
        if self.kind not in _BLOCKS:
            return None
        block, size = _BLOCKS[self.kind]
        return prod(self.shape) // block * size


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself before its data."""

    metadata: Mapping[str, Scalar]
    tensors: tuple[GgufTensor, ...]
    file_bytes: int
    """Of the file: the weights and this head, which takes a thousandth of it."""

    def number(self, key: str) -> int | None:
        """The whole number at ``key``; ``{arch}`` in it is the architecture. None: there is none,
        or one for each layer."""
        key = key.replace("{arch}", str(self.metadata.get("general.architecture", "")))
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_gguf(path: Path) -> GgufHeader:
    """The head of the file at ``path``; of a split model, which starts in ``path``, of all parts.

    Raises WeightsError where a file is missing, cut short, damaged or no GGUF.
    """
    first, *rest = (_read(part) for part in gguf_parts(path))
    return GgufHeader(
        first.metadata,
        first.tensors + tuple(tensor for header in rest for tensor in header.tensors),
        first.file_bytes + sum(header.file_bytes for header in rest),
    )


def gguf_parts(path: Path) -> tuple[Path, ...]:
    """The files of the model that starts in ``path``, which may be its only one."""
    match = PART.fullmatch(path.name)
    if match is None:
        return (path,)
    stem, count = match.groups()
    return tuple(
        path.with_name(f"{stem}-{number:05}-of-{count}.gguf") for number in range(1, int(count) + 1)
    )


def _read(path: Path) -> GgufHeader:
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise WeightsError(f"{path} is not a GGUF file.")
            size = file.seek(0, 2)
            with mmap.mmap(
                file.fileno(), min(size, LONGEST_HEADER), access=mmap.ACCESS_READ
            ) as head:
                return _Reader(path, head, size).header()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error


class _Reader:
    """Walks through a head; every length is checked against what there is."""

    def __init__(self, path: Path, head: mmap.mmap, size: int) -> None:
        self._path = path
        self._head = head
        self._size = size
        self._at = len(MAGIC)

    def header(self) -> GgufHeader:
        version = self._number(_U32)
        if version not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            raise WeightsError(
                f"{self._path} is GGUF of version {version}; only versions {known} can be read."
            )
        tensor_count, key_count = self._number(_U64), self._number(_U64)
        metadata = dict(self._entries(key_count))
        tensors = tuple(self._tensor() for _ in self._counted(tensor_count, 24))
        alignment = metadata.get("general.alignment")
        step = alignment if isinstance(alignment, int) and alignment > 0 else DEFAULT_ALIGNMENT
        start = -(-self._at // step) * step
        end = start + max((tensor.offset + (tensor.bytes or 0) for tensor in tensors), default=0)
        if end > self._size:
            raise WeightsError(f"{self._path} is cut short: {self._size} of {end} bytes.")
        return GgufHeader(metadata, tensors, self._size)

    def _entries(self, count: int) -> list[tuple[str, Scalar]]:
        entries = []
        for _ in self._counted(count, 13):
            key = self._text()
            kind = self._number(_U32)
            if kind == _ARRAY:
                self._skip_array()
            else:
                entries.append((key, self._scalar(kind)))
        return entries

    def _tensor(self) -> GgufTensor:
        name = self._text()
        dimensions = self._number(_U32)
        if dimensions > MOST_DIMENSIONS:
            raise self._damaged(f"the tensor {name[:64]!r} has {dimensions} dimensions")
        shape = tuple(self._number(_U64) for _ in range(dimensions))
        return GgufTensor(name, shape, self._number(_U32), self._number(_U64))

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._text()
        if kind not in _SCALARS:
            raise self._damaged(f"there is no type {kind} of values")
        value: Scalar = self._take(_SCALARS[kind])
        return value

    def _skip_array(self) -> None:
        kind, count = self._number(_U32), self._number(_U64)
        if kind == _STRING:
            self._skip_texts(count)
        elif kind in _SCALARS:
            self._skip(count * _SCALARS[kind].size)
        else:
            raise self._damaged(f"there is no type {kind} of arrays' elements")

    def _skip_texts(self, count: int) -> None:
        at, length_of = self._at, _U64.unpack_from
        for _ in self._counted(count, _U64.size):
            if at + _U64.size > len(self._head):
                break
            at += _U64.size + length_of(self._head, at)[0]
        self._skip(at - self._at)

    def _counted(self, count: int, least_bytes: int) -> range:
        """As many turns as the head says; each takes ``least_bytes`` at least."""
        if count * least_bytes > self._size - self._at:
            raise self._damaged(f"it says that {count} entries follow, but the file is too short")
        return range(count)

    def _text(self) -> str:
        length = self._number(_U64)
        start = self._at
        self._skip(length)
        return self._head[start : self._at].decode(errors="replace")

    def _number(self, form: struct.Struct) -> int:
        return int(self._take(form))

    def _take(self, form: struct.Struct) -> int | float | bool:
        start = self._at
        self._skip(form.size)
        value: int | float | bool = form.unpack_from(self._head, start)[0]
        return value

    def _skip(self, count: int) -> None:
        if count > len(self._head) - self._at:
            if len(self._head) < self._size:
                raise self._damaged(f"its head takes more than {LONGEST_HEADER} bytes")
            raise WeightsError(f"{self._path} is cut short: its head goes on after its end.")
        self._at += count

    def _damaged(self, reason: str) -> WeightsError:
        return WeightsError(f"{self._path} is damaged: {reason}.")
