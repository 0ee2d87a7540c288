"""The file of the keys: made by ``codeserve keys``, read by the server again and again."""

import logging
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock

from codeserve.app.durable_file import write_durably
from codeserve.app.fingerprint import fingerprint
from codeserve.app.keys.key import ApiKey
from codeserve.app.keys.keyring import Keyring
from codeserve.app.keys.toml import toml_table
from codeserve.engines.types import Lane

LANES = {lane.name.lower(): lane for lane in Lane}

RECHECK_SECONDS = 1.0

HEADER = "# API keys of codeserve, by their SHA-256; written by 'codeserve keys'.\n"

logger = logging.getLogger(__name__)


class KeyFileError(ValueError):
    """The file cannot be read; the message says where, why and what is allowed."""


def read_keys(path: Path) -> Keyring:
    """The keys in the file ``path`` (TOML). Raises KeyFileError."""
    try:
        return _parsed(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: not UTF-8 at byte {error.start}") from error


@contextmanager
def changing(path: Path) -> Iterator[list[ApiKey]]:
    """The keys in ``path``, where the file need not be there yet: it holds what the list does when
    the block ends, whoever else changes it. Raises KeyFileError."""
    try:
        with FileLock(path.with_name(f".{path.name}.lock")):
            keys = list(read_keys(path).keys) if path.exists() else []
            before = tuple(keys)
            yield keys
            if tuple(keys) != before:
                text = "\n".join([HEADER, *(toml_table("keys", key_fields(key)) for key in keys)])
                _parsed(path, text)
                write_durably(path, text)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error


def key_fields(key: ApiKey) -> dict[str, Any]:
    """What the file says of ``key``: what it has, without what it has not."""
    entry = msgspec.structs.asdict(key) | {"lane": key.lane.name.lower()}
    entry["scopes"] = sorted(key.scopes)
    return {name: value for name, value in entry.items() if value is not None}


class LiveKeys:
    """The keys that are valid now: the file is read again when it has changed."""

    def __init__(self, path: Path, recheck_seconds: float = RECHECK_SECONDS) -> None:
        """``recheck_seconds``: how long a change may go unnoticed. Raises KeyFileError."""
        self._path = path
        self._recheck_seconds = recheck_seconds
        self._seen = fingerprint(path)
        self._checked = time.monotonic()
        self._keyring = read_keys(path)

    def __call__(self) -> Keyring:
        """The file's keys; the last good ones, while it is broken."""
        now = time.monotonic()
        if now - self._checked >= self._recheck_seconds:
            self._checked = now
            self._reread()
        return self._keyring

    def _reread(self) -> None:
        seen = fingerprint(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keyring = read_keys(self._path)
        except KeyFileError as error:
            logger.error("%s. The API keys stay what they were before.", error)
        else:
            logger.info("%s has changed: %d API keys", self._path, len(self._keyring.keys))


def _parsed(path: Path, text: str) -> Keyring:
    """The keys in ``text``, which is to be that of ``path``. Raises KeyFileError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"{path}: not valid TOML: {error}") from error
    entries = data.pop("keys", [])
    if data or not isinstance(entries, list):
        raise KeyFileError(f"{path}: write nothing but [[keys]] tables")
    keys = [_key(path, number, entry) for number, entry in enumerate(entries, 1)]
    for one in ("id", "name", "digest"):
        values = [getattr(key, one) for key in keys]
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise KeyFileError(f"{path}: two keys have the {one} {twice!r}")
    return Keyring(keys)


def _key(path: Path, number: int, entry: Any) -> ApiKey:
    """The key of one table. Raises KeyFileError."""
    place = f"{path}: [[keys]] number {number}"
    if not isinstance(entry, Mapping):
        raise KeyFileError(f"{place}: write a table")
    lane = entry.get("lane", "interactive")
    if lane not in LANES:
        raise KeyFileError(f"{place}: lane: write one of {', '.join(LANES)}, not {lane!r}")
    try:
        return msgspec.convert({**entry, "lane": LANES[lane]}, ApiKey)
    except msgspec.ValidationError as error:
        raise KeyFileError(f"{place}: {error}") from error
