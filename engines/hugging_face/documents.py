"""The JSON files of a Hugging Face folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from codeserve.engines.errors import ModelLoadError

Document = Mapping[str, Any]


def read_document(path: Path) -> Document:
    """The object in a JSON file. Raises ModelLoadError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise ModelLoadError(f"{path} holds no JSON object: {error}") from error


def read_optional(path: Path) -> Document:
    """Likewise; an empty object where there is no such file."""
    return read_document(path) if path.exists() else {}
