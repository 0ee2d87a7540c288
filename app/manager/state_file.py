"""The file that remembers what was launched, so that a restarted server can launch it again."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self

import msgspec
from filelock import FileLock, Timeout

from codeserve.app.durable_file import write_durably
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError

VERSION = 1

Entry = Mapping[str, Any]


class Unusable(msgspec.Struct, frozen=True):
    """An entry that this version of codeserve cannot launch; it stays in the file."""

    id: str
    reason: str


class StateFile:
    """What was launched over the API and not terminated; one server at a time has the file.

    What is read stays in the file until a model of its id has been saved or it is forgotten, so
    that a model that cannot be launched today is not lost.
    """

    def __init__(self, path: Path, lock: FileLock, entries: Mapping[str, Entry]) -> None:
        """Use ``StateFile.open``."""
        self.path = path
        self._lock = lock
        self._kept = dict(entries)
        self._saved: Mapping[str, Entry] = {}
        self._order = list(entries)
        self._writing = Lock()
        self._models, self._unusable = _read_models(entries)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read ``path``, if it exists, and keep others from it until ``close``.

        Raises SettingsError where another server has it or where it makes no sense, and OSError
        where nothing can be kept there; it is left as it is.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
        try:
            return cls(path, lock, _read(path))
        except (SettingsError, OSError):
            lock.release()
            raise

    def models(self) -> tuple[ModelSettings, ...]:
        """What was remembered when the file was opened, in the order of the launches."""
        return self._models

    def unusable(self) -> tuple[Unusable, ...]:
        """What was remembered when the file was opened and does not make sense any more."""
        return self._unusable

    def save(self, models: Sequence[ModelSettings]) -> None:
        """Remember ``models``, and nothing else but what was read and not launched since.

        On the disk when this returns. Raises OSError; then the file is as it was.
        """
        with self._writing:
            saved = {model.id: _entry(model) for model in models}
            self._write(
                {key: value for key, value in self._kept.items() if key not in saved}, saved
            )

    def forget(self, model_id: str) -> bool:
        """Drop what was read and not launched since under this id; whether there was any.

        Raises OSError; then the file is as it was.
        """
        with self._writing:
            if model_id not in self._kept:
                return False
            kept = {key: value for key, value in self._kept.items() if key != model_id}
            self._write(kept, self._saved)
            return True

    def close(self) -> None:
        """Let others have the file."""
        self._lock.release()

    def _write(self, kept: Mapping[str, Entry], saved: Mapping[str, Entry]) -> None:
        entries = {**kept, **saved}
        order = [key for key in self._order if key in entries]
        order += [key for key in saved if key not in self._order]
        content = {"version": VERSION, "models": [entries[key] for key in order]}
        write_durably(self.path, json.dumps(content, indent=2, default=str) + "\n")
        self._kept, self._saved, self._order = dict(kept), saved, order


def state_path(server: ServerSettings) -> Path | None:
    """The state file of a server: the one that it names, else one for its port; None for port 0,
    which is another one each time."""
    if server.state is not None:
        return server.state.expanduser()
    if server.port == 0:
        return None
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "codeserve" / f"{server.port}.json"


def _lock(path: Path) -> FileLock:
    """The lock of ``path``, held. Raises SettingsError where another process holds it."""
    file = path.with_name(f"{path.name}.lock")
    lock = FileLock(file, timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        holder = file.read_text(encoding="utf-8", errors="replace").strip()
        raise SettingsError(
            f"{path}: another server remembers its models here"
            f"{f' (process {holder})' if holder else ''}. Stop that server, or give this one a "
            "file of its own: [server] state, or CODESERVE_STATE."
        ) from error
    file.write_text(f"{os.getpid()}\n", encoding="utf-8")
    return lock


def _read(path: Path) -> Mapping[str, Entry]:
    """The entries of the file by id. Raises SettingsError and OSError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise SettingsError(
            f"{path}: a newer codeserve has written this state (version {version}; this one reads "
            f"{VERSION}). Install that codeserve, or move the file away."
        )
    models = content.get("models") if version == VERSION else None
    if not isinstance(models, list) or not all(map(_is_entry, models)):
        raise _damaged(path, "it holds no version and list of models")
    entries = {model["id"]: model for model in models}
    if len(entries) < len(models):
        raise _damaged(path, "two of its models have the same id")
    return entries


def _is_entry(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str)


def _damaged(path: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"{path}: not a state file of codeserve: {reason}. Repair it, or move it away to start "
        "with nothing remembered."
    )


def _read_models(
    entries: Mapping[str, Entry],
) -> tuple[tuple[ModelSettings, ...], tuple[Unusable, ...]]:
    models, unusable = [], []
    for model_id, entry in entries.items():
        try:
            models.append(ModelSettings.read(entry))
        except SettingsError as error:
            unusable.append(Unusable(model_id, str(error)))
    return tuple(models), tuple(unusable)


def _entry(model: ModelSettings) -> Entry:
    """What differs from the defaults."""
    return model.model_dump(exclude_defaults=True)
