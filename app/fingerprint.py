"""What changes when a file does."""

import os
from pathlib import Path

Fingerprint = tuple[int, ...]


def fingerprint(path: Path) -> Fingerprint | None:
    """Differs once ``path`` has been written, replaced, or leads to another file; None: there is
    none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
