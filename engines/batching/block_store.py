"""Keys and values outside the KV cache: in host memory and on disk, in blocks of tokens."""

import hashlib
import logging
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

BLOCK_TOKENS = 64
"""Tokens of one block. What a prompt shares with a stored one is found in whole blocks."""

MAX_PENDING_WRITES = 64
DIGEST_BYTES = 16

logger = logging.getLogger(__name__)


def block_keys(token_ids: Sequence[int]) -> Iterator[str]:
    """The name of each whole block: a hash of its tokens and all before them, because keys and
    values depend on both."""
    key = b""
    for start in range(0, len(token_ids) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        block = array("q", token_ids[start : start + BLOCK_TOKENS]).tobytes()
        key = hashlib.blake2b(key + block, digest_size=20).digest()
        yield key.hex()


class BlockStore:
    """Blocks by name, the least recently used dropped first; with a folder, they are files, too.

    Files are written on a thread of their own, so that no step waits for the disk. They outlive
    the process, and a restarted server finds them.
    """

    def __init__(self, budget_bytes: int, files: "BlockFiles | None" = None) -> None:
        """``budget_bytes``: the most host memory that blocks may take."""
        self._budget_bytes = budget_bytes
        self._files = files
        self._blocks: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0
        """Host memory taken."""

    def __contains__(self, key: str) -> bool:
        return key in self._blocks or (self._files is not None and key in self._files)

    @property
    def is_useful(self) -> bool:
        """Whether anything can be stored."""
        return self._budget_bytes > 0 or self._files is not None

    @property
    def is_durable(self) -> bool:
        """Whether what is stored outlives the process."""
        return self._files is not None

    def get(self, key: str) -> bytes | None:
        """The block called ``key``; None if it is not stored or cannot be read."""
        data = self._blocks.get(key)
        if data is not None:
            self._blocks.move_to_end(key)
            return data
        return None if self._files is None else self._files.read(key)

    def put(self, key: str, data: bytes) -> None:
        """Store a block that is not stored yet."""
        if self._files is not None:
            self._files.write(key, data)
        if len(data) > self._budget_bytes:
            return
        self._blocks[key] = data
        self.bytes += len(data)
        while self.bytes > self._budget_bytes:
            self.bytes -= len(self._blocks.popitem(last=False)[1])

    def drop(self, key: str) -> None:
        """Forget a block that has turned out to be unusable."""
        data = self._blocks.pop(key, b"")
        self.bytes -= len(data)
        if self._files is not None:
            self._files.remove(key)

    def close(self) -> None:
        """Wait until every file is written."""
        if self._files is not None:
            self._files.close()


class BlockFiles:
    """Blocks in a folder, a file for each, within a byte budget."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        """Blocks that are in ``folder`` already count. Raises OSError if it cannot be made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._sizes = _sizes_by_age(folder)
        self._bytes = sum(self._sizes.values())
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="block-files")
        self._pending: dict[str, bytes] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._sizes

    def read(self, key: str) -> bytes | None:
        """The block; None if it is not there or is not what was written."""
        if key not in self._sizes:
            return None
        pending = self._pending.get(key)
        if pending is not None:
            return pending
        data = self._read(self._folder / key)
        if data is None:
            self.remove(key)
        else:
            self._sizes.move_to_end(key)
        return data

    def write(self, key: str, data: bytes) -> None:
        """Write the block later; not at all where more are waiting than the disk can take."""
        if key in self._sizes or len(self._pending) >= MAX_PENDING_WRITES:
            return
        self._sizes[key] = len(data)
        self._bytes += len(data)
        while self._bytes > self._budget_bytes:
            self.remove(next(iter(self._sizes)))
        if key in self._sizes:
            self._pending[key] = data
            self._writer.submit(self._write, key, data)

    def remove(self, key: str) -> None:
        """Delete the block."""
        self._bytes -= self._sizes.pop(key, 0)
        self._pending.pop(key, None)
        self._writer.submit(self._unlink, key)

    def close(self) -> None:
        """Wait until all is written."""
        self._writer.shutdown(wait=True)

    def _write(self, key: str, data: bytes) -> None:
        try:
            with NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
                file.write(_digest(data) + data)
            Path(file.name).replace(self._folder / key)
        except OSError as error:
            logger.warning("%s: a block could not be written: %s", self._folder, error)
        self._pending.pop(key, None)

    def _read(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
            path.touch()
        except OSError:
            return None
        data = content[DIGEST_BYTES:]
        return data if content[:DIGEST_BYTES] == _digest(data) else None

    def _unlink(self, key: str) -> None:
        with suppress(OSError):
            (self._folder / key).unlink(missing_ok=True)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _sizes_by_age(folder: Path) -> OrderedDict[str, int]:
    """Size of each block file, the least recently used first; unfinished files are deleted."""
    found = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            path.unlink(missing_ok=True)
        else:
            status = path.stat()
            found.append((status.st_mtime, path.name, status.st_size))
    return OrderedDict((name, size) for _, name, size in sorted(found))
