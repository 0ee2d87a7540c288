"""The weights on this machine: pulled from hubs, found, verified, repaired, removed."""

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import package
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.cached import find_cached
from codeserve.model_specs.hub.digests import sha256
from codeserve.model_specs.hub.manifests import Manifests
from codeserve.model_specs.hub.messages import Request
from codeserve.model_specs.hub.pulling import discard
from codeserve.model_specs.hub.retrying import PASSING
from codeserve.model_specs.hub.stored import Damage, Stored, StoredFile, inspect
from codeserve.model_specs.hub.transfer import transfer
from codeserve.model_specs.spec import Hub

Progress = Callable[[int, int | None], None]

TRUE = frozenset({"1", "on", "yes", "true"})


class Store:
    """What is known of the weights on this machine. Safe to use from any thread and process."""

    def __init__(self, folder: Path, *, offline: bool = False) -> None:
        """``folder`` keeps manifests, locks and imported files; it need not exist.

        Offline, nothing touches the network; so it is where ``HF_HUB_OFFLINE`` is set.
        """
        self._folder = folder
        self._offline = offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE
        self._manifests = Manifests(folder / "manifests")

    def pull(self, sources: Sequence[Artifact], progress: Progress) -> Stored:
        """The first of the sources that can be had; blocks while it is downloaded.

        ``progress`` is called with bytes done and bytes in total, if known, from any thread; an
        exception that it raises, such as PullCancelled, ends the pull and passes on. What has come
        so far is kept for the next pull.

        Raises:
            PullError: no source has it; the message says of each source why.
        """
        if (found := self._recorded(sources)) is not None:
            return found
        if self._offline:
            return self._find_offline(sources)
        try:
            return transfer(Request(folder=self._folder, sources=tuple(sources)), progress)
        except PullError as error:
            if error.code in PASSING and (found := self.find(sources)) is not None:
                return found
            raise

    def find(self, sources: Sequence[Artifact]) -> Stored | None:
        """The first source that is here whole, by a look at names, sizes and times; no network.

        Also what a hub's own cache holds, whose digests no hub has confirmed.
        """
        if (found := self._recorded(sources)) is not None:
            return found
        return next((found for one in sources if (found := self._cached(one)) is not None), None)

    def stored(self) -> tuple[Stored, ...]:
        """Everything that was pulled or added."""
        return self._manifests.all()

    def verify(self, stored: Stored, progress: Progress) -> tuple[Damage, ...]:
        """Read every file and compare it with the manifest, whose digests came from the hub."""
        done = 0

        def read(count: int) -> None:
            nonlocal done
            done += count
            progress(done, stored.bytes)

        return tuple(
            Damage(file.name, what)
            for file in stored.files
            if (what := _damage(stored.root / file.name, file, read))
        )

    def repair(self, stored: Stored, progress: Progress) -> Stored:
        """Fetch the damaged files anew, and only those.

        Raises:
            PullError: they cannot be fetched.
        """
        damaged = {damage.file for damage in self.verify(stored, lambda done, total: None)}
        if not damaged:
            return stored
        if stored.artifact.hub is Hub.PACKAGE:
            package.locate_artifact(stored.artifact)
            raise PullError(
                f"Install the package {stored.artifact.repository} anew: its file is damaged.",
                code="corrupt",
            )
        if self._offline:
            raise _offline_error(stored.artifact, ", ".join(sorted(damaged)))
        named = replace(
            stored.artifact,
            revision=stored.commit or stored.artifact.revision,
            files=tuple(sorted(damaged)),
        )
        fresh = transfer(Request(folder=self._folder, sources=(named,), again=True), progress)
        repaired = _merge(stored, fresh)
        self._manifests.write(repaired)
        return repaired

    def remove(self, stored: Stored) -> int:
        """Forget the artifact and delete its files; gives the bytes freed.

        Files that another artifact has too are kept. Raises PullError for a package's file.
        """
        if stored.artifact.hub is Hub.PACKAGE:
            raise PullError(
                f"{stored.path} belongs to the package {stored.artifact.repository}: uninstall it.",
                code="package",
            )
        self._manifests.remove(stored.artifact)
        kept = {one.root / file.name for one in self.stored() for file in one.files}
        paths = [stored.root / file.name for file in stored.files]
        freed = sum(_delete(path, stored.root) for path in paths if path not in kept)
        _prune(stored.root)
        return freed

    def add(self, stored: Stored) -> None:
        """Record what somebody else put on disk."""
        self._manifests.write(stored)

    def _recorded(self, sources: Sequence[Artifact]) -> Stored | None:
        for source in sources:
            if source.hub is Hub.PACKAGE:
                try:
                    return package.locate_artifact(source)
                except PullError:
                    continue
            stored = self._manifests.read(source)
            if stored is not None and stored.unchanged:
                return stored
        return None

    def _cached(self, source: Artifact) -> Stored | None:
        """What the hub's cache holds of an artifact that this store has never touched."""
        if self._manifests.begun(source) or self._manifests.read(source) is not None:
            return None
        return find_cached(source)

    def _find_offline(self, sources: Sequence[Artifact]) -> Stored:
        if (found := self.find(sources)) is not None:
            return found
        for source in sources:
            if (stored := self._manifests.read(source)) is not None:
                return self._look_again(stored)
        missing = next((one for one in sources if one.hub is not Hub.PACKAGE), None)
        if missing is None:
            return package.locate_artifact(sources[0])
        raise _offline_error(missing, " ".join(missing.files) or "the folder")

    def _look_again(self, stored: Stored) -> Stored:
        """Files whose times have changed may be the same nevertheless."""
        damages = self.verify(stored, lambda done, total: None)
        if damages:
            raise _offline_error(stored.artifact, ", ".join(damage.file for damage in damages))
        seen = replace(
            stored, files=tuple(inspect(stored.root, file.name) for file in stored.files)
        )
        self._manifests.write(seen)
        return seen


def _offline_error(artifact: Artifact, missing: str) -> PullError:
    command = ["codeserve", "pull", artifact.repository]
    command += [part for name in artifact.files for part in ("--file", name)]
    if artifact.revision is not None:
        command += ["--revision", artifact.revision]
    if artifact.hub is not Hub.HUGGINGFACE:
        command += ["--hub", artifact.hub]
    return PullError(
        f"Offline mode: {missing} of {artifact} is not whole on this machine. Where there is a "
        f"network, run `{shlex.join(command)}`.",
        code="offline",
    )


def _damage(path: Path, file: StoredFile, read: Callable[[int], None]) -> str:
    """What is wrong with a file; empty where nothing is."""
    if not path.is_file():
        return "missing"
    if (size := path.stat().st_size) != file.bytes:
        return f"has {size} bytes instead of {file.bytes}"
    digest = sha256(path, read)
    if file.sha256 and digest != file.sha256:
        return f"its SHA-256 is {digest} instead of {file.sha256}"
    return ""


def _merge(stored: Stored, fresh: Stored) -> Stored:
    """The artifact with fresh files in the place of those of the same name."""
    expected = {file.name: file.sha256 for file in stored.files}
    for file in fresh.files:
        if expected[file.name] not in ("", file.sha256):
            raise PullError(
                f"The hub has another {file.name} now: remove {stored.artifact} and pull it anew.",
                code="conflict",
            )
        target = stored.root / file.name
        if fresh.root != stored.root:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            shutil.copyfile(fresh.root / file.name, part)
            os.replace(part, target)
    names = {file.name for file in fresh.files}
    return replace(
        stored,
        files=tuple(
            inspect(stored.root, file.name) if file.name in names else file for file in stored.files
        ),
    )


def _delete(path: Path, root: Path) -> int:
    """Bytes freed: none where another snapshot of the same repository has the file too."""
    if not path.exists():
        return 0
    target = path.resolve()
    others = (other for other in root.parent.glob("*/**/*") if not other.is_relative_to(root))
    if path.is_symlink() and any(one.is_symlink() and one.resolve() == target for one in others):
        path.unlink()
        return 0
    size = path.stat().st_size
    discard(path)
    return size


def _prune(root: Path) -> None:
    """Delete a folder and its subfolders as far as they are empty."""
    for folder in (*sorted(root.rglob("*"), reverse=True), root):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
