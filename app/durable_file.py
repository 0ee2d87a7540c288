"""Files that are either what they were or what they shall be, whatever happens in between."""

import os
from pathlib import Path


def write_durably(path: Path, text: str, mode: int = 0o600) -> None:
    """Put ``text`` in the place of the file ``path``, on the disk when this returns.

    A crash at any moment leaves the old file or the new one, and at most a hidden file beside it
    that the next call overwrites. One writer at a time. Raises OSError; then the old file stays.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed and deleted in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
