"""What the hubs' own caches hold already, found without network and without their libraries."""

import os
from pathlib import Path

import msgspec

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import modelscope
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.listing import entry, lacks, select
from codeserve.model_specs.hub.stored import Stored, inspect
from codeserve.model_specs.spec import Hub

SMALL = 16 * 2**20
"""Bytes up to which a file's digest is computed when it is found."""
SHA256_LENGTH = 64
BRANCH = "main"


class WeightIndex(msgspec.Struct):
    """The index of sharded weights."""

    weight_map: dict[str, str]


def find_cached(artifact: Artifact) -> Stored | None:
    """The artifact in its hub's cache, if all of it is there."""
    match artifact.hub:
        case Hub.HUGGINGFACE:
            root, commit = _huggingface(artifact)
        case Hub.MODELSCOPE:
            root, commit = modelscope.snapshot(modelscope.cache_folder(), artifact), None
        case _:
            return None
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    try:
        files = select([name for name in names if not name.endswith(".incomplete")], artifact.files)
    except PullError:
        return None
    if lacks(files) or not _whole(root, files):
        return None
    main = entry(files, artifact.files)
    return Stored(
        artifact=artifact,
        commit=commit,
        path=root if main is None else root / main,
        root=root,
        files=tuple(inspect(root, name, _digest(root / name)) for name in files),
        pulled_at=root.stat().st_mtime,
    )


def _huggingface(artifact: Artifact) -> tuple[Path, str | None]:
    from huggingface_hub import constants

    folder = "models--" + artifact.repository.replace("/", "--")
    repository = Path(constants.HF_HUB_CACHE) / folder
    revision = artifact.revision or BRANCH
    reference = repository / "refs" / revision
    commit = reference.read_text() if reference.is_file() else revision
    return repository / "snapshots" / commit, commit


def _digest(path: Path) -> str | None:
    """What the cache says: Hugging Face's names large files by their SHA-256."""
    if path.is_symlink() and len(name := os.path.basename(path.readlink())) == SHA256_LENGTH:
        return name
    return None if path.stat().st_size <= SMALL else ""


def _whole(root: Path, files: tuple[str, ...]) -> bool:
    """Whether every shard is there that the index of these weights names."""
    for name in files:
        kind = name.removesuffix(".index.json")
        if kind != name and any(other.endswith(Path(kind).suffix) for other in files):
            try:
                index = msgspec.json.decode((root / name).read_bytes(), type=WeightIndex)
            except msgspec.DecodeError:
                return False
            if not set(index.weight_map.values()) <= set(files):
                return False
    return True
