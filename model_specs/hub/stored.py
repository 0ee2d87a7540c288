"""What is on this machine: files, their digests, and what is wrong with them."""

from pathlib import Path

import msgspec

from codeserve.model_specs.hub.artifact import Artifact


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it was when its digest was checked."""

    name: str
    """Relative to the folder of the files."""
    bytes: int
    sha256: str
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


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with a file."""

    file: str
    what: str
