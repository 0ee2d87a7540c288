"""The weights on this machine: pulled from hubs, found, verified, repaired, removed."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import huggingface, package
from codeserve.model_specs.hub.artifact import Artifact, artifacts
from codeserve.model_specs.hub.digests import sha256
from codeserve.model_specs.hub.location import default_store
from codeserve.model_specs.hub.manifests import Manifests
from codeserve.model_specs.hub.stored import Damage, Stored, StoredFile
from codeserve.model_specs.spec import Hub, ModelSpec, Source

Progress = Callable[[int, int | None], None]


def fetch(spec: ModelSpec, quantization: str, progress: Progress) -> Path:
    """The path of a spec's weights, pulled if need be. Raises PullError."""
    return Store(default_store()).pull(artifacts(spec, quantization), progress).path


class Store:
    """What is known of the weights on this machine. Safe to use from any thread."""

    def __init__(self, folder: Path, *, offline: bool = False) -> None:
        """``folder`` keeps manifests, locks and imported files; it need not exist."""
        self._folder = folder
        self._offline = offline
        self._manifests = Manifests(folder / "manifests")

    def pull(self, sources: Sequence[Artifact], progress: Progress) -> Stored:
        """The files of the first source that has them; blocks while they are downloaded.

        ``progress`` is called with bytes done and bytes in total, if known, from any thread; an
        exception that it raises ends the pull.

        Raises:
            PullError: no source has them; the message says of each source why.
        """
        if (found := self.find(sources)) is not None:
            return found
        reasons = []
        for source in sources:
            try:
                stored = self._pull(source, progress)
            except PullError as error:
                reasons.append(error)
            else:
                self._manifests.write(stored)
                return stored
        text = " ".join(
            f"{source.hub} {source.repository}: {error}"
            for source, error in zip(sources, reasons, strict=True)
        )
        raise PullError(f"The weights could not be fetched. {text}", code=reasons[0].code)

    def _pull(self, artifact: Artifact, progress: Progress) -> Stored:
        if artifact.hub is Hub.MODELSCOPE:
            raise PullError("Pulling from ModelScope is not supported yet.")
        file = artifact.files[0] if artifact.files else None
        source = Source(
            hub=artifact.hub,
            model_id=artifact.repository,
            revision=artifact.revision,
            file=file,
        )
        if artifact.hub is Hub.PACKAGE:
            path = package.locate(source)
        else:
            path = huggingface.pull(source, "", progress)
        return _record(artifact, path)

    def find(self, sources: Sequence[Artifact]) -> Stored | None:
        """The first source whose files are here, by a look at their sizes and times."""
        for source in sources:
            stored = self._manifests.read(source)
            if stored is not None and all(_unchanged(stored, file) for file in stored.files):
                return stored
        return None

    def stored(self) -> tuple[Stored, ...]:
        """Everything known."""
        return self._manifests.all()

    def verify(self, stored: Stored, progress: Progress) -> tuple[Damage, ...]:
        """Read every file and compare its SHA-256 with the manifest's."""
        done = 0
        damages = []
        for file in stored.files:
            path = stored.root / file.name
            if not path.is_file():
                damages.append(Damage(file.name, "missing"))
            elif (size := path.stat().st_size) != file.bytes:
                damages.append(Damage(file.name, f"has {size} bytes instead of {file.bytes}"))
            elif (digest := sha256(path)) != file.sha256:
                what = f"its SHA-256 is {digest} instead of {file.sha256}"
                damages.append(Damage(file.name, what))
            done += file.bytes
            progress(done, stored.bytes)
        return tuple(damages)

    def repair(self, stored: Stored, progress: Progress) -> Stored:
        """Fetch the damaged files anew. Raises PullError."""
        raise PullError("Repairing is not supported yet.")

    def remove(self, stored: Stored) -> int:
        """Forget the artifact and delete its files; gives the bytes freed."""
        for file in stored.files:
            (stored.root / file.name).unlink(missing_ok=True)
        self._manifests.remove(stored.artifact)
        return stored.bytes

    def add(self, stored: Stored) -> None:
        """Record what somebody else put on disk."""
        self._manifests.write(stored)


def _unchanged(stored: Stored, file: StoredFile) -> bool:
    try:
        status = (stored.root / file.name).stat()
    except OSError:
        return False
    return status.st_size == file.bytes and status.st_mtime_ns == file.modified


def _record(artifact: Artifact, path: Path) -> Stored:
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return Stored(
        artifact=artifact,
        commit=None,
        path=path,
        root=root,
        files=tuple(
            StoredFile(
                name=file.relative_to(root).as_posix(),
                bytes=file.stat().st_size,
                sha256=sha256(file),
                modified=file.stat().st_mtime_ns,
            )
            for file in files
            if file.is_file()
        ),
        pulled_at=time.time(),
    )
