"""The JSON files of a Hugging Face folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from codeserve.engines.errors import ModelLoadError

Document = Mapping[str, Any]
Content = TypeVar("Content")


def read(path: Path, kind: type[Content]) -> Content:
    """The content of a JSON file as a ``kind``. Raises ModelLoadError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{path} makes no sense: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelLoadError(f"{path} is not JSON: {error}.") from error


def read_optional(path: Path, kind: type[Content]) -> Content:
    """Likewise; an empty ``kind`` where there is no such file."""
    return read(path, kind) if path.exists() else kind()


def convert(path: Path, source: object, kind: type[Content]) -> Content:
    """A part of what was read from ``path`` as a ``kind``. Raises ModelLoadError."""
    try:
        return msgspec.convert(source, kind)
    except msgspec.ValidationError as error:
        raise ModelLoadError(f"{path} makes no sense: {error}.") from error
