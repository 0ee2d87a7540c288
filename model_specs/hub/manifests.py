"""The record of what was pulled: a JSON file for each artifact, written whole or not at all."""

import hashlib
import logging
import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.messages import decode_stored, encode
from codeserve.model_specs.hub.stored import Stored

logger = logging.getLogger(__name__)


def key(artifact: Artifact) -> str:
    """A file name that only this artifact has."""
    readable = re.sub(r"[^\w.-]+", "--", f"{artifact.hub}--{artifact.repository}")
    return f"{readable[:80]}--{hashlib.sha256(msgspec.json.encode(artifact)).hexdigest()[:12]}"


class Manifests:
    """The manifests in a folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, artifact: Artifact) -> Stored | None:
        """None where there is none that can be read."""
        return _read(self._folder / f"{key(artifact)}.json")

    def all(self) -> tuple[Stored, ...]:
        """Every manifest that can be read, by name."""
        found = (_read(path) for path in sorted(self._folder.glob("*.json")))
        return tuple(stored for stored in found if stored is not None)

    def begin(self, artifact: Artifact) -> None:
        """Note that the artifact's files come one by one from now on, until ``write``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._mark(artifact).touch()

    def begun(self, artifact: Artifact) -> bool:
        """Whether some of the artifact's files may be there and others not."""
        return self._mark(artifact).exists()

    def write(self, stored: Stored) -> None:
        """Replaces what was known of the same artifact."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{key(stored.artifact)}.json"
        with NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
            file.write(msgspec.json.format(encode(stored)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
        self._mark(stored.artifact).unlink(missing_ok=True)

    def remove(self, artifact: Artifact) -> None:
        """Forget the artifact; its files stay."""
        (self._folder / f"{key(artifact)}.json").unlink(missing_ok=True)
        self._mark(artifact).unlink(missing_ok=True)

    def _mark(self, artifact: Artifact) -> Path:
        return self._folder / f"{key(artifact)}.begun"


def _read(path: Path) -> Stored | None:
    try:
        return decode_stored(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("%s is no manifest: %s", path, error)
        return None
