"""What a folder's weights hold, from the headers of their files."""

from dataclasses import dataclass
from math import prod
from os import SEEK_END
from pathlib import Path
from typing import Annotated

import msgspec

from codeserve.model_specs.errors import WeightsError

INDEX = "model.safetensors.index.json"
PICKLES = "pytorch_model*.bin"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the format's own library."""
LENGTH_BYTES = 8
"""Of the header's length, which comes first, lowest byte first."""


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


class _Index(msgspec.Struct):
    weight_map: Annotated[dict[str, str], msgspec.Meta(min_length=1)]


class _Entry(msgspec.Struct):
    """A tensor of a header; ``__metadata__``, which is none, has none of these keys."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    data_offsets: tuple[int, int] = (0, 0)

    def tensor(self, name: str) -> Tensor:
        first, last = self.data_offsets
        return Tensor(name, self.dtype, self.shape, last - first)


def read_tensors(folder: Path) -> tuple[Tensor, ...]:
    """Every tensor of the folder's safetensors files; none if PyTorch's own files hold them.

    Raises WeightsError if there are no weights, a file of theirs is missing or cut short.
    """
    files = _files(folder)
    if not files and not any(folder.glob(PICKLES)):
        raise WeightsError(f"{folder} holds no weights: no .safetensors and no {PICKLES} files.")
    return tuple(tensor for file in files for tensor in _header(file))


def pickled_bytes(folder: Path) -> int:
    """Size of the weights in PyTorch's own files."""
    return sum(file.stat().st_size for file in folder.glob(PICKLES))


def _files(folder: Path) -> list[Path]:
    if not (folder / INDEX).exists():
        whole = folder / "model.safetensors"
        return [whole] if whole.exists() else sorted(folder.glob("*.safetensors"))
    parts = _index(folder / INDEX).weight_map
    files = [folder / name for name in sorted(set(parts.values()))]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise WeightsError(f"{folder} is incomplete: {_listed(missing)} missing.")
    return files


def _index(file: Path) -> _Index:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Index)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}.") from error
    except msgspec.ValidationError as error:
        raise WeightsError(f"{file} makes no sense: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file} is not JSON: {error}.") from error


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _header(file: Path) -> list[Tensor]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, SEEK_END)
            stream.seek(0)
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            text = stream.read(length) if length <= min(LONGEST_HEADER, size) else b""
        entries = msgspec.json.decode(text, type=dict[str, _Entry])
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file} does not begin as a safetensors file.") from error
    entries.pop("__metadata__", None)
    end = max((entry.data_offsets[1] for entry in entries.values()), default=0)
    if size < LENGTH_BYTES + length + end:
        whole = LENGTH_BYTES + length + end
        raise WeightsError(f"{file} is cut short: {size} of {whole} bytes.")
    return [entry.tensor(name) for name, entry in entries.items()]
