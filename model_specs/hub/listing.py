"""What a repository holds, as its hub says, and which of it an artifact needs."""

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import msgspec
from msgspec.structs import replace

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact

TEXT_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
"""Configuration, tokenizer and chat template."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""Best first; a folder has one kind of them."""
PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<parts>\d{5})\.gguf")
"""The name of a part of a GGUF file that was split."""
NAMED = 8
"""Files that an error names."""


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file on a hub. It has one of the digests, or none if the hub gives none."""

    name: str
    bytes: int
    """0 also where the hub does not say."""
    sha256: str | None = None
    git_blob: str | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a repository at a revision."""

    artifact: Artifact
    commit: str | None
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def needed(self) -> "Listing":
        """Only the files that the artifact asks for. Raises PullError where some are missing."""
        names = [file.name for file in self.files if _stays_inside(file.name)]
        try:
            wanted = set(select(names, self.artifact.files))
        except PullError as error:
            raise PullError(f"{self.artifact}: {error}", code=error.code) from None
        files = sorted(self.files, key=lambda file: file.name)
        return replace(self, files=tuple(file for file in files if file.name in wanted))


def select(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """The names that match, in order; without patterns those of a Hugging Face folder.

    Raises:
        PullError: nothing matches a pattern, or the folder is no model.
    """
    if not patterns:
        return _folder(names)
    found: dict[str, None] = {}
    for pattern in patterns:
        matches = _matching(names, pattern)
        if not matches:
            raise PullError(
                f"there is no file {pattern}; there is: {_nearest(names, pattern)}.",
                code="file_not_found",
            )
        found |= dict.fromkeys(matches)
    return tuple(sorted(found))


def entry(names: Iterable[str], patterns: Sequence[str]) -> str | None:
    """The file that an engine is given of the selected ones; None: it is given their folder."""
    if not patterns:
        return None
    ordered = sorted(names)
    models = [name for name in ordered if name.endswith(".gguf")]
    if models:
        return models[0]
    return ordered[0] if len(ordered) == 1 else None


def lacks(names: Iterable[str]) -> list[str]:
    """The parts of split GGUF files that are not among ``names`` while other parts are."""
    present = set(names)
    parts = {part for name in present for part in _parts(name)}
    return sorted(parts - present)


def _stays_inside(name: str) -> bool:
    """Whether a name that a hub gives leads to a place below the folder it is put in."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _folder(names: Sequence[str]) -> tuple[str, ...]:
    here = [name for name in names if "/" not in name]
    weights = next((found for kind in WEIGHTS if (found := _like(here, kind))), [])
    if not weights or "config.json" not in here:
        lacking = "weights (.safetensors or pytorch_model.bin)" if not weights else "config.json"
        raise PullError(f"this is no model's folder: it has no {lacking}.", code="not_a_model")
    texts = [name for pattern in TEXT_FILES for name in _like(here, pattern)]
    return tuple(sorted({*texts, *weights}))


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    if pattern in names:
        return [name for name in names if name in {pattern, *_parts(pattern)}]
    if found := _like(names, pattern):
        return found
    stem = pattern.removesuffix(".gguf")
    return [name for name in names if (part := PART.fullmatch(name)) and part["stem"] == stem]


def _like(names: Sequence[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _parts(name: str) -> list[str]:
    part = PART.fullmatch(name)
    if part is None:
        return []
    count = int(part["parts"])
    return [f"{part['stem']}-{index:05}-of-{count:05}.gguf" for index in range(1, count + 1)]


def _nearest(names: Sequence[str], pattern: str) -> str:
    like = [name for name in names if PurePosixPath(name).suffix == PurePosixPath(pattern).suffix]
    shown = difflib.get_close_matches(pattern, like or names, NAMED, cutoff=0)
    return ", ".join(shown) if shown else "nothing"
