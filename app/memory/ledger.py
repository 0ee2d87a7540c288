"""What models took when they were loaded on this machine, remembered for the next time."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

METHOD = 1
"""Rises when what is measured, or how, changes: earlier entries are then passed over."""
MOST_ENTRIES = 256
LOCK_SECONDS = 5


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that what is taken depends on."""

    weights: tuple[tuple[str, int, int], ...]
    """Name, size and time of change in nanoseconds of each file."""
    engine: str
    python: str | None
    quantization: str | None
    context_length: int
    max_concurrency: int
    options: Mapping[str, Any]
    gpus: int
    """How many each worker had."""
    method: int = METHOD

    @property
    def key(self) -> str:
        """Equal for equal subjects only."""
        data = msgspec.json.encode(self, order="deterministic", enc_hook=str)
        return hashlib.sha256(data).hexdigest()[:32]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one worker took right after loading."""

    name: str
    """Of the weights, for people."""
    host_bytes: int
    gpu_bytes: int
    """On all of its GPUs together."""
    measured_at: float
    """Unix time in seconds."""


class Ledger:
    """Entries by subject in one JSON file, which several servers may share."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def default(cls) -> "Ledger":
        """The one in the user's folder of state."""
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return cls(Path(base) / "codeserve" / "memory.json")

    def recall(self, subject: Subject) -> Entry | None:
        """What is remembered of exactly ``subject``."""
        return self._read().get(subject.key)

    def keep(self, subject: Subject, entry: Entry) -> None:
        """Remember ``entry``, and forget the oldest ones beyond 256. Where that cannot be done,
        the log says so."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.lock", timeout=LOCK_SECONDS):
                entries = {**self._read(), subject.key: entry}
                newest = sorted(entries.items(), key=lambda item: -item[1].measured_at)
                self._write(dict(newest[:MOST_ENTRIES]))
        except (OSError, Timeout) as error:
            logger.warning("what a model takes cannot be remembered: %s", error)

    def _read(self) -> dict[str, Entry]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Entry])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("%s is passed over, because it cannot be read: %s", self._file, error)
            return {}

    def _write(self, entries: Mapping[str, Entry]) -> None:
        with tempfile.TemporaryDirectory(dir=self._file.parent) as scratch:
            written = Path(scratch, self._file.name)
            written.write_bytes(msgspec.json.format(msgspec.json.encode(entries)))
            written.replace(self._file)


def entry_of(name: str, host_bytes: int, gpu_bytes: int) -> Entry:
    """An entry that was measured now."""
    return Entry(name=name, host_bytes=host_bytes, gpu_bytes=gpu_bytes, measured_at=time.time())
