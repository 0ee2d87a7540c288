"""Where the prefixes of one model are kept on disk."""

import hashlib
from pathlib import Path

from codeserve.engines.errors import ModelLoadError


def prefix_folder(root: str, name: str, subject: object) -> Path:
    """A folder below ``root`` for the model ``name``, which is made.

    ``subject`` is everything that the bytes of keys and values depend on, told apart by its
    ``repr``: what one subject has computed makes no sense to another. Raises ModelLoadError.
    """
    digest = hashlib.blake2b(repr(subject).encode(), digest_size=8).hexdigest()
    folder = Path(root).expanduser() / f"{name}-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelLoadError(f"cache_disk: {folder} cannot be used: {error.strerror}.") from error
    return folder
