"""Digests of files, as the hubs publish them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOCK = 4 * 2**20


def _ignore(count: int) -> None:
    pass


def sha256(path: Path, read: Callable[[int], None] = _ignore) -> str:
    """SHA-256 of a file in hexadecimal; ``read`` is told the bytes of each block."""
    return _digest(hashlib.sha256(), path, read)


def git_blob(path: Path, read: Callable[[int], None] = _ignore) -> str:
    """The id that Git gives to a file of these bytes."""
    header = f"blob {path.stat().st_size}\0".encode()
    return _digest(hashlib.sha1(header, usedforsecurity=False), path, read)


def _digest(digest: Any, path: Path, read: Callable[[int], None]) -> str:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            read(len(block))
    return str(digest.hexdigest())
