"""Weights in one file, for machines that reach no hub.

A bundle is an uncompressed tar archive. Its first entry, ``manifest.json``, says what the others
are, in their order: ``weights/NUMBER/FILE``. Anything else in it is refused.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from filelock import FileLock

from codeserve.model_specs.hub.bundle_archive import Progress, Reader, Writer
from codeserve.model_specs.hub.bundle_manifest import BundledWeights, BundleError, Manifest
from codeserve.model_specs.hub.stored import Stored, StoredFile

OVERHEAD = 4096
"""Bytes of header and padding that an entry may take."""


def write(
    path: Path,
    weights: Sequence[Stored],
    definitions: Mapping[str, str],
    progress: Progress,
) -> Manifest:
    """Write a bundle of ``weights``, with the texts of family files by name, and its manifest.

    Every digest is checked on the way. A bundle that is there is replaced when the new one is
    whole.

    Raises:
        BundleError: the disk is too small, or a file is not what was stored.
    """
    manifest = Manifest.of(weights, definitions)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with _explained(path):
        _check_space(path.absolute().parent, manifest)
        try:
            with part.open("wb") as file:
                Writer(file, manifest.total_bytes, progress).write(manifest, weights)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """What a bundle says that it holds. Raises BundleError."""
    with _explained(path), Reader.open(path) as reader:
        return reader.manifest


def unpack(path: Path, folder: Path, progress: Progress) -> tuple[Stored, ...]:
    """Put the weights of a bundle under ``folder``, every digest checked.

    They come to their place when the last of them has been checked; the same files come to the
    same place. One bundle is unpacked at a time, the next one waits.

    Raises:
        BundleError: the bundle is cut off, altered, of another version or not a bundle at all, or
            the disk is too small.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(folder / ".import.lock"),
            _only(folder / ".import") as temporary,
            Reader.open(path) as reader,
        ):
            _check_space(folder, reader.manifest)
            reader.extract(temporary, progress)
            return tuple(
                _settle(weights, temporary / str(number), folder)
                for number, weights in enumerate(reader.manifest.weights)
            )


def _settle(weights: BundledWeights, source: Path, folder: Path) -> Stored:
    """Move checked files to the place under ``folder`` that their digests give."""
    digest = hashlib.sha256(msgspec.json.encode(weights.files)).hexdigest()[:16]
    repository = re.sub(r"[^\w.-]+", "--", weights.artifact.repository)
    root = folder / f"{repository}--{digest}"
    for file in weights.files:
        (root / file.name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / file.name, root / file.name)
    return Stored(
        artifact=weights.artifact,
        commit=weights.commit,
        path=root / weights.entry,
        root=root,
        files=tuple(
            StoredFile(file.name, file.bytes, file.sha256, (root / file.name).stat().st_mtime_ns)
            for file in weights.files
        ),
        pulled_at=time.time(),
    )


def _check_space(folder: Path, manifest: Manifest) -> None:
    files = sum(len(one.files) for one in manifest.weights)
    needed, free = manifest.total_bytes + OVERHEAD * (files + 1), shutil.disk_usage(folder).free
    if needed > free:
        raise BundleError(
            f"{folder} has {free / 1e9:.2f} GB free, but {needed / 1e9:.2f} GB are needed."
        )


@contextmanager
def _only(folder: Path) -> Iterator[Path]:
    """A folder for the block, without what a process that was killed has left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """The system's refusals of the block as BundleErrors."""
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        reason = "the disk is full" if full else error.strerror or str(error)
        raise BundleError(f"{error.filename or target}: {reason}.") from error
