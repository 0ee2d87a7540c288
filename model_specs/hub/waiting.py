"""One download for many waiters, in this process and in others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

GLANCE = 0.25
"""Seconds between two looks at the holder's progress."""

Tell = Callable[[int, int | None], None]


class Line:
    """Those who want the same artifact stand in it; the lock of one who dies is free at once."""

    def __init__(self, folder: Path, key: str) -> None:
        self._lock = folder / f"{key}.lock"
        self._progress = folder / f"{key}.progress"
        self._next_note = 0.0

    @contextmanager
    def first(self, tell: Tell) -> Iterator[None]:
        """Wait for one's turn; ``tell`` hears meanwhile how far the one before has come."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)
        while True:
            try:
                lock.acquire(timeout=GLANCE)
            except Timeout:
                tell(*self._read())
            else:
                break
        try:
            yield
        finally:
            self._progress.unlink(missing_ok=True)
            lock.release()

    def note(self, done: int, total: int | None) -> None:
        """Let those who wait see how far this has come, from time to time."""
        now = time.monotonic()
        if now < self._next_note:
            return
        self._next_note = now + GLANCE
        self._progress.write_bytes(msgspec.json.encode((done, total)))

    def _read(self) -> tuple[int, int | None]:
        try:
            return msgspec.json.decode(self._progress.read_bytes(), type=tuple[int, int | None])
        except (OSError, msgspec.DecodeError):
            return 0, None
