"""What a bundle says of itself: whose files it holds, their sizes and digests."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Self

import msgspec

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.stored import Stored

VERSION = 1
FOLDER = "."
"""The entry of weights that are a folder."""


class BundleError(RuntimeError):
    """A bundle cannot be written or read; the message says which and why."""


class BundledFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of some weights."""

    name: str
    """Relative to the folder of the weights."""
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class BundledWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files of one artifact."""

    artifact: Artifact
    commit: str | None
    entry: str
    """The file that is loaded, or ``.`` for the folder."""
    files: Annotated[tuple[BundledFile, ...], msgspec.Meta(min_length=1)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first entry of a bundle."""

    codeserve_bundle: int
    """Version of the format."""
    weights: Annotated[tuple[BundledWeights, ...], msgspec.Meta(min_length=1)]
    definitions: Mapping[str, str] = {}
    """Family files of the user's own: name in a folder of families, and text."""

    @property
    def total_bytes(self) -> int:
        """Size of all weights."""
        return sum(file.bytes for one in self.weights for file in one.files)

    @classmethod
    def of(cls, weights: Sequence[Stored], definitions: Mapping[str, str]) -> Self:
        """The manifest of stored weights."""
        return cls(
            codeserve_bundle=VERSION, weights=tuple(map(_bundled, weights)), definitions=definitions
        )

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read and check a manifest. Raises BundleError."""
        try:
            version = msgspec.json.decode(content, type=_Version).codeserve_bundle
            if version != VERSION:
                raise BundleError(
                    f"its format is version {version}, but this release reads version {VERSION}."
                )
            manifest = msgspec.json.decode(content, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BundleError(f"its manifest cannot be read: {error}.") from error
        for names in (*map(_names, manifest.weights), list(manifest.definitions)):
            _check_names(names)
        for one in manifest.weights:
            if one.entry not in (FOLDER, *_names(one)):
                raise BundleError(f"its manifest lists no file {one.entry!r}.")
        return manifest


class _Version(msgspec.Struct):
    codeserve_bundle: int


def _bundled(stored: Stored) -> BundledWeights:
    return BundledWeights(
        artifact=stored.artifact,
        commit=stored.commit,
        entry=stored.path.relative_to(stored.root).as_posix(),
        files=tuple(BundledFile(file.name, file.bytes, file.sha256) for file in stored.files),
    )


def _names(weights: BundledWeights) -> list[str]:
    return [file.name for file in weights.files]


def _check_names(names: Sequence[str]) -> None:
    """Raises BundleError for a name that leaves its folder or comes twice."""
    for name in names:
        path = PurePosixPath(name)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts
        if not inside or str(path) != name or "\\" in name or not name.isprintable():
            raise BundleError(f"its manifest names a file outside of its folder: {name!r}.")
    if len(set(names)) != len(names):
        raise BundleError("its manifest names a file twice.")
