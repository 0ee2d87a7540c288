"""The archive of a bundle: how its entries are written, read and checked."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Self

import msgspec

from codeserve.model_specs.hub.bundle_manifest import BundledFile, BundleError, Manifest
from codeserve.model_specs.hub.stored import Stored

Progress = Callable[[int, int | None], None]

MANIFEST = "manifest.json"
BLOCK = 2**20
LARGEST_HEADER = 16 * 2**20
"""Bytes of a manifest or of an entry's header; both are read whole."""


class Writer:
    """Writes one archive."""

    def __init__(self, file: IO[bytes], total: int, progress: Progress) -> None:
        self._file = file
        self._count = _Count(total, progress)

    def write(self, manifest: Manifest, weights: Sequence[Stored]) -> None:
        """Write the manifest and all files of ``weights``, whose manifest it is.

        Raises BundleError for a file whose digest is not the manifest's, and OSError.
        """
        with tarfile.TarFile(
            fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT, copybufsize=BLOCK
        ) as archive:
            content = msgspec.json.format(msgspec.json.encode(manifest))
            archive.addfile(_header(MANIFEST, len(content)), BytesIO(content))
            for number, (stored, bundled) in enumerate(zip(weights, manifest.weights, strict=True)):
                for file in bundled.files:
                    self._append(archive, _name(number, file), stored.root / file.name, file)

    def _append(self, archive: tarfile.TarFile, name: str, source: Path, file: BundledFile) -> None:
        with source.open("rb") as content:
            hashed = _Hashed(content, self._count)
            if os.fstat(content.fileno()).st_size == file.bytes:
                archive.addfile(_header(name, file.bytes), hashed)
        if hashed.sha256 != file.sha256:
            raise BundleError(
                f"{source} is not what was stored. `codeserve verify --repair` fetches it anew."
            )


class Reader:
    """Reads one archive from its beginning to its end."""

    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        self.manifest = self._manifest()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """A reader of the bundle at ``path``. Raises BundleError, also from the block, and
        OSError."""
        try:
            with (
                path.open("rb") as file,
                tarfile.open(fileobj=file, mode="r|", bufsize=BLOCK, tarinfo=_Entry) as archive,
            ):
                yield cls(archive, path)
        except tarfile.TarError as error:
            raise BundleError(f"{path} is no bundle, or damaged: {error}.") from error

    def extract(self, folder: Path, progress: Progress) -> None:
        """Put the files of the manifest's weights under ``folder/NUMBER``, every digest checked.

        Raises BundleError and OSError.
        """
        count = _Count(self.manifest.total_bytes, progress)
        for number, weights in enumerate(self.manifest.weights):
            for file in weights.files:
                content = self._next(_name(number, file), file.bytes)
                target = folder / str(number) / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                digest = _copy(_Hashed(content, count), target)
                if digest != file.sha256:
                    raise self._refusal(
                        f"the SHA-256 of {file.name} is {digest} instead of {file.sha256}. "
                        "Copy the bundle again."
                    )
        if (extra := self._archive.next()) is not None:
            raise self._refusal(f"it holds {extra.name!r}, which its manifest does not list.")

    def _manifest(self) -> Manifest:
        entry = self._archive.next()
        if entry is None or entry.name != MANIFEST or entry.size > LARGEST_HEADER:
            raise self._refusal(f"it does not start with {MANIFEST}.")
        try:
            return Manifest.decode(self._content(entry).read())
        except BundleError as error:
            raise self._refusal(str(error)) from error

    def _next(self, name: str, size: int) -> IO[bytes]:
        entry = self._archive.next()
        if entry is None:
            raise self._refusal(f"it ends before {name}. Copy it again.")
        if (entry.name, entry.size) != (name, size):
            raise self._refusal(
                f"where its manifest lists {name} of {size} bytes, it holds {entry.name!r} of "
                f"{entry.size} bytes."
            )
        return self._content(entry)

    def _content(self, entry: tarfile.TarInfo) -> IO[bytes]:
        content = self._archive.extractfile(entry)
        assert content is not None, "entries are regular files"
        return content

    def _refusal(self, reason: str) -> BundleError:
        return BundleError(f"{self._path} is no sound bundle: {reason}")


class _Entry(tarfile.TarInfo):
    """A header, refused at once if it is not of a file or too large to be read whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry = super().frombuf(buf, encoding, errors)
        is_header = entry.type == tarfile.XHDTYPE
        if entry.type != tarfile.REGTYPE and not is_header:
            raise tarfile.ReadError(f"it holds {entry.name!r}, which is not a file")
        if is_header and entry.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"it holds a header of {entry.size} bytes")
        return entry


class _Count:
    """Bytes of all files so far."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)


class _Hashed:
    """A file that is hashed and counted while it is read."""

    def __init__(self, file: IO[bytes], count: _Count) -> None:
        self._file, self._count = file, count
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._digest.update(block)
        self._count.add(len(block))
        return block

    @property
    def sha256(self) -> str:
        """Of what was read so far, in hexadecimal."""
        return self._digest.hexdigest()


def _copy(source: _Hashed, target: Path) -> str:
    """Write all of ``source``, durably; its digest."""
    with target.open("wb") as file:
        while block := source.read(BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return source.sha256


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Of a file without owner and time, so that the same weights make the same bundle."""
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def _name(number: int, file: BundledFile) -> str:
    return f"weights/{number}/{file.name}"
