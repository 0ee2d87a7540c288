"""What is on this machine: files, their digests, and what is wrong with them."""

from pathlib import Path

import msgspec

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.digests import sha256


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it was when its digest was checked."""

    name: str
    """Relative to the folder of the files."""
    bytes: int
    sha256: str
    """Empty where the file was found and no hub has said what it should be."""
    modified: int
    """The file's ``st_mtime_ns`` when it was checked."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact whose files are all on this machine."""

    artifact: Artifact
    commit: str | None
    """Of the repository, where the hub names it."""
    path: Path
    """The file, the first part of a split GGUF file, or the folder."""
    root: Path
    """The folder that the files' names are relative to."""
    files: tuple[StoredFile, ...]
    pulled_at: float
    """Seconds since the epoch."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def unchanged(self) -> bool:
        """Whether every file has the size and the time that it had; nothing is read."""
        return all(_is_unchanged(self.root / file.name, file) for file in self.files)


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with a file."""

    file: str
    what: str


def inspect(root: Path, name: str, digest: str | None = None) -> StoredFile:
    """A file as it is now, which is read unless its SHA-256 is given."""
    path = root / name
    status = path.stat()
    return StoredFile(
        name=name,
        bytes=status.st_size,
        sha256=sha256(path) if digest is None else digest,
        modified=status.st_mtime_ns,
    )


def _is_unchanged(path: Path, file: StoredFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.bytes, file.modified)
