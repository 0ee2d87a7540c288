"""How an artifact comes to this machine: listed, checked for space, fetched, verified, recorded.

Runs in a process of its own; see ``transfer``.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path, PurePosixPath

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub import package
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.client import HubClient, Received
from codeserve.model_specs.hub.digests import git_blob
from codeserve.model_specs.hub.listing import Listing, RemoteFile, entry
from codeserve.model_specs.hub.manifests import Manifests, key
from codeserve.model_specs.hub.retrying import patiently
from codeserve.model_specs.hub.stored import Stored, StoredFile, inspect
from codeserve.model_specs.hub.tally import Tally
from codeserve.model_specs.hub.waiting import Line
from codeserve.model_specs.spec import Hub

FILES_AT_ONCE = 4
FINAL = frozenset({"conflict", "no_space"})
"""Codes of errors that another hub does not help against."""


class Puller:
    """Brings artifacts to this machine, for one caller at a time."""

    def __init__(
        self,
        folder: Path,
        clients: Mapping[Hub, HubClient],
        tell: Callable[[int, int | None], None],
    ) -> None:
        """``folder`` is the store's; ``tell`` is called with bytes done and in total."""
        self._folder = folder
        self._manifests = Manifests(folder / "manifests")
        self._clients = clients
        self._tell = tell

    def pull(self, sources: Sequence[Artifact]) -> Stored:
        """The first source that can be had whole. Raises PullError with the reasons of each."""
        reasons: dict[Artifact, PullError] = {}
        listings: list[Listing] = []
        for source in sources:
            try:
                return self._pull(source, listings)
            except PullError as error:
                if error.code in FINAL:
                    raise
                reasons[source] = error
        said = " ".join(f"{one.hub} {one.repository}: {why}" for one, why in reasons.items())
        first = next(iter(reasons.values()))
        raise PullError(f"The weights could not be fetched. {said}", code=first.code)

    def fetch_again(self, artifact: Artifact) -> Stored:
        """Exactly the files that the artifact names, anew; nothing is recorded."""
        client = self._clients[artifact.hub]
        line = Line(self._folder / "locks", key(artifact))
        with line.first(self._tell):
            listing = client.list(artifact)
            named = tuple(file for file in listing.files if file.name in artifact.files)
            return self._fetch(client, _only(listing, named), line)

    def _pull(self, source: Artifact, listings: list[Listing]) -> Stored:
        if source.hub is Hub.PACKAGE:
            return package.locate_artifact(source)
        client = self._clients[source.hub]
        line = Line(self._folder / "locks", key(source))
        with line.first(self._tell):
            stored = self._manifests.read(source)
            if stored is not None and stored.unchanged:
                return stored
            listing = client.list(source).needed()
            for other in listings:
                _compare(listing, other)
            listings.append(listing)
            self._manifests.begin(source)
            stored = self._fetch(client, listing, line)
            self._manifests.write(stored)
            return stored

    def _fetch(self, client: HubClient, listing: Listing, line: Line) -> Stored:
        _check_space(client, listing)

        def tell(done: int, total: int) -> None:
            self._tell(done, total)
            line.note(done, total)

        fetched = _fetch_all(client, listing, Tally(listing.files, tell))
        root, _ = fetched[0]
        main = entry([file.name for file in listing.files], listing.artifact.files)
        return Stored(
            artifact=listing.artifact,
            commit=listing.commit,
            path=root if main is None else root / main,
            root=root,
            files=tuple(file for _, file in fetched),
            pulled_at=time.time(),
        )


def discard(path: Path) -> None:
    """Delete a file and what it links to."""
    target = path.resolve()
    while path.is_symlink():
        link = path.parent / path.readlink()
        path.unlink()
        path = link
    target.unlink(missing_ok=True)


def _fetch_all(client: HubClient, listing: Listing, tally: Tally) -> list[tuple[Path, StoredFile]]:
    """Several files at once; when one fails, the others are stopped and not waited for."""
    pool = ThreadPoolExecutor(FILES_AT_ONCE)
    files = [pool.submit(_fetch_one, client, listing, file, tally) for file in listing.files]
    finished, _ = wait(files, return_when=FIRST_EXCEPTION)
    error = next((error for one in finished if (error := one.exception()) is not None), None)
    if error is not None:
        tally.stop()
    pool.shutdown(wait=False, cancel_futures=True)
    if error is not None:
        raise error
    return [one.result() for one in files]


def _fetch_one(
    client: HubClient, listing: Listing, file: RemoteFile, tally: Tally
) -> tuple[Path, StoredFile]:
    """The folder that the file's name is relative to, and the verified file.

    One that comes damaged is fetched once more; one that lay damaged in the cache does not count.
    """
    received: Received = tally.of(file.name)
    wrong = ""
    was_here = client.present(listing, file) == file.bytes
    for _ in range(3 if was_here else 2):
        try:
            path = patiently(
                lambda: client.fetch(listing, file, received),
                moved=lambda: tally.received(file.name),
            )
        except PullError as error:
            if error.code != "corrupt":
                raise
            wrong = str(error)
            continue
        root = path.parents[len(PurePosixPath(file.name).parts) - 1]
        found = inspect(root, file.name)
        if not (wrong := _difference(file, path, found)):
            return root, found
        discard(path)
    raise PullError(f"{listing.artifact}: {file.name} comes damaged: {wrong}.", code="corrupt")


def _difference(file: RemoteFile, path: Path, found: StoredFile) -> str:
    """How a file on disk differs from what its hub says; empty where it does not."""
    if found.sha256 == file.sha256:
        return ""
    if found.bytes != file.bytes:
        return f"it has {found.bytes} bytes instead of {file.bytes}"
    if file.sha256 is not None:
        return f"its SHA-256 is {found.sha256} instead of {file.sha256}"
    if file.git_blob is not None and (blob := git_blob(path)) != file.git_blob:
        return f"its Git id is {blob} instead of {file.git_blob}"
    return ""


def _only(listing: Listing, files: tuple[RemoteFile, ...]) -> Listing:
    missing = set(listing.artifact.files) - {file.name for file in files}
    if missing:
        gone = ", ".join(sorted(missing))
        raise PullError(f"{listing.artifact} has no file {gone}.", code="file_not_found")
    return Listing(artifact=listing.artifact, commit=listing.commit, files=files)


def _compare(listing: Listing, other: Listing) -> None:
    """Refuse to take a file from one hub that is another file on the other hub."""
    digests = {file.name: file.sha256 for file in other.files}
    for file in listing.files:
        expected = digests.get(file.name)
        if file.sha256 and expected and file.sha256 != expected:
            raise PullError(
                f"{file.name} is not the same file on both hubs: its SHA-256 is {expected} on "
                f"{other.artifact} and {file.sha256} on {listing.artifact}. Choose one hub.",
                code="conflict",
            )


def _check_space(client: HubClient, listing: Listing) -> None:
    missing = sum(file.bytes - client.present(listing, file) for file in listing.files)
    folder = client.cache
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise PullError(
            f"{listing.artifact} needs {missing / 1e9:.2f} GB more, and {client.cache} has "
            f"{free / 1e9:.2f} GB free.",
            code="no_space",
        )
