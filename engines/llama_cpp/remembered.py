"""What was measured, kept in the user's cache folder: a file for each model file and machine."""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import llama_cpp
import msgspec

from codeserve.engines.llama_cpp.build import cache_folder
from codeserve.engines.llama_cpp.machine import Machine
from codeserve.engines.llama_cpp.options import LlamaCppOptions

METHOD = 2
"""Rises when what is measured, or how, changes: earlier results are then measured again."""

INFLUENTIAL = (
    *("n_gpu_layers", "main_gpu", "split_mode", "tensor_split", "offload_kqv"),
    *("n_threads", "n_threads_batch", "n_batch", "n_ubatch", "flash_attn", "type_k", "type_v"),
    *("repack", "use_mmap", "use_mlock"),
)
"""The options that a measurement depends on."""

T = TypeVar("T")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a measurement depends on."""

    method: int
    machine: Machine
    build: str
    """llama.cpp's version, features and library files."""
    name: str
    bytes: int
    modified_ns: int
    options: LlamaCppOptions
    """Those given that matter; the others have their defaults."""

    @classmethod
    def of(cls, path: Path, options: LlamaCppOptions) -> "Subject":
        """The file at ``path`` with ``options`` on this machine and build."""
        status = path.stat()
        return cls(
            method=METHOD,
            machine=Machine.here(),
            build=build_identity(),
            name=path.name,
            bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            options=LlamaCppOptions(**{name: getattr(options, name) for name in INFLUENTIAL}),
        )

    @property
    def key(self) -> str:
        """Equal for equal subjects only."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class Entry(msgspec.Struct, Generic[T], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A remembered result."""

    path: str
    """Where the model file was."""
    subject: Subject
    result: T


def folder() -> Path:
    """Where results are kept."""
    return cache_folder().parent / "tuning"


def recall(subject: Subject, kind: type[T]) -> T | None:
    """What is remembered of exactly ``subject``; None also if it cannot be read."""
    entry = _read(_file(subject), kind)
    return entry.result if entry and entry.subject == subject else None


def keep(subject: Subject, path: Path, result: object) -> None:
    """Remember ``result`` and forget those whose model file is gone.

    Where that cannot be done, standard error says so.
    """
    entry = Entry(path=str(path.absolute()), subject=subject, result=result)
    file = _file(subject)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            written = Path(scratch, file.name)
            written.write_bytes(msgspec.json.format(msgspec.json.encode(entry)))
            written.rename(file)
        _forget_lost()
    except OSError as error:
        sys.stderr.write(
            f"What was measured for {path.name} cannot be remembered, so every start will measure "
            f"it again: {error}. Make the folder writable, set XDG_CACHE_HOME to one that is, or "
            "set the option tune = false.\n"
        )


def entries(kind: type[T]) -> Iterator[Entry[T]]:
    """Everything that is remembered and can be read."""
    for file in sorted(folder().glob("*.json")):
        entry = _read(file, kind)
        if entry is not None:
            yield entry


def build_identity() -> str:
    """llama.cpp as it is installed: equal for equal builds only."""
    libraries = Path(llama_cpp.__file__).parent / "lib"
    files = [
        f"{path.name} {status.st_size} {status.st_mtime_ns}"
        for path in sorted(libraries.iterdir())
        if path.is_file() and (status := path.stat())
    ]
    features = llama_cpp.llama_print_system_info().decode()
    return "; ".join([llama_cpp.__version__, features, *files])


def _forget_lost() -> None:
    for file in folder().glob("*.json"):
        entry = _read(file, object)
        if entry is not None and not Path(entry.path).exists():
            file.unlink(missing_ok=True)


def _file(subject: Subject) -> Path:
    return folder() / f"{subject.key}.json"


def _read(file: Path, kind: type[T]) -> Entry[T] | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Entry[kind])  # type: ignore[valid-type]
    except (OSError, msgspec.DecodeError):
        return None
