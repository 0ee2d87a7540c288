"""Hugging Face, by ``huggingface_hub``, in the cache that it shares with other programs.

The library reads its environment variables (``HF_TOKEN``, ``HF_ENDPOINT``, ``HF_HOME`` and others)
when it is imported; it is imported in the process that pulls only.

Files that Xet stores are left to the library where hf_xet is installed. Other large files go by the
library's HTTP download into a partial file with a name of its own, since the library by itself
forgets what a killed process has received.
"""

import logging
import os
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.client import Received
from codeserve.model_specs.hub.listing import Listing, RemoteFile
from codeserve.model_specs.hub.retrying import patiently
from codeserve.model_specs.hub.system_errors import explain_system

logger = logging.getLogger(__name__)

CHUNK = 2**18
"""Bytes that are lost at most when a connection breaks; the library's own are 10 MB."""


class HuggingFace:
    """The hub that ``HF_ENDPOINT`` names."""

    @property
    def cache(self) -> Path:
        """``HF_HUB_CACHE``, or the folder ``hub`` of ``HF_HOME``."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def list(self, artifact: Artifact) -> Listing:
        """All files; digests are SHA-256 of large files and Git's ids of the others.

        The library asks once only.
        """
        return patiently(lambda: self._list(artifact))

    def _list(self, artifact: Artifact) -> Listing:
        from huggingface_hub import HfApi, constants

        try:
            model = HfApi(library_name="codeserve").model_info(
                artifact.repository,
                revision=artifact.revision,
                files_metadata=True,
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
        except Exception as error:
            raise explain(error, artifact) from error
        if model.sha is None:
            raise PullError(f"The hub names no commit of {artifact}.", code="client_error")
        return Listing(
            artifact=artifact,
            commit=model.sha,
            files=tuple(
                RemoteFile(
                    name=file.rfilename,
                    bytes=file.size or 0,
                    sha256=file.lfs.sha256 if file.lfs else None,
                    git_blob=None if file.lfs else file.blob_id,
                )
                for file in model.siblings or ()
            ),
        )

    def present(self, listing: Listing, file: RemoteFile) -> int:
        """Of the file itself, or of the partial one."""
        blob = self._blob(listing, file)
        for path in (blob, _partial(blob)):
            if path.exists():
                return min(path.stat().st_size, file.bytes)
        return 0

    def fetch(self, listing: Listing, file: RemoteFile, received: Received) -> Path:
        """The file in the snapshot of its commit."""
        folder = self.cache / _folder(listing.artifact)
        path = folder / "snapshots" / str(listing.commit) / file.name
        if not path.exists():
            self._fetch(listing, file, received)
        received(file.bytes)
        return path

    def _fetch(self, listing: Listing, file: RemoteFile, received: Received) -> None:
        bar = _bar(received)
        try:
            self._sweep(listing, file)
            if file.sha256 is not None and not self._came_by_xet(listing, file, bar):
                self._download(listing, file, bar)
            _hub_download(listing, file, bar)
        except Exception as error:
            raise explain(error, listing.artifact, file.name) from error

    def _sweep(self, listing: Listing, file: RemoteFile) -> None:
        """Delete what killed processes have left that nobody can use."""
        blob = self._blob(listing, file)
        with self._lock(listing, file):
            for orphan in blob.parent.glob(f"{blob.name}.*.incomplete"):
                orphan.unlink(missing_ok=True)

    def _came_by_xet(self, listing: Listing, file: RemoteFile, bar: type[Any]) -> bool:
        """Whether the file is stored by Xet and came; mirrors often lack Xet's servers."""
        if not self._goes_by_xet(listing, file):
            return False
        try:
            _hub_download(listing, file, bar)
        except Exception:
            logger.warning("%s does not come by Xet, trying HTTP", file.name, exc_info=True)
            return False
        return True

    def _goes_by_xet(self, listing: Listing, file: RemoteFile) -> bool:
        from huggingface_hub import get_hf_file_metadata
        from huggingface_hub.utils._runtime import is_xet_available

        if not is_xet_available() or self._blob(listing, file).exists():
            return False
        metadata = get_hf_file_metadata(_url(listing, file), retry_on_errors=True)
        return metadata.xet_file_data is not None

    def _download(self, listing: Listing, file: RemoteFile, bar: type[Any]) -> None:
        """Put the file's bytes where the library looks for them, under the library's own lock."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        blob = self._blob(listing, file)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(listing, file):
            if blob.exists():
                return
            with _partial(blob).open("ab") as out:
                if out.tell() > file.bytes:
                    out.truncate(0)
                http_get(
                    _url(listing, file),
                    out,
                    resume_size=out.tell(),
                    headers=build_hf_headers(library_name="codeserve")
                    | {"Accept-Encoding": "identity"},
                    expected_size=file.bytes,
                    displayed_filename=file.name,
                    tqdm_class=bar,
                )
            os.replace(_partial(blob), blob)

    def _lock(self, listing: Listing, file: RemoteFile) -> BaseFileLock:
        """The library's own, so that other programs wait too."""
        name = f"{self._blob(listing, file).name}.lock"
        path = self.cache / ".locks" / _folder(listing.artifact) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def _blob(self, listing: Listing, file: RemoteFile) -> Path:
        name = file.sha256 or file.git_blob or ""
        return self.cache / _folder(listing.artifact) / "blobs" / name


def _hub_download(listing: Listing, file: RemoteFile, bar: type[Any]) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(
        listing.artifact.repository,
        file.name,
        revision=listing.commit,
        library_name="codeserve",
        tqdm_class=bar,
    )


def _folder(artifact: Artifact) -> str:
    return "models--" + artifact.repository.replace("/", "--")


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _url(listing: Listing, file: RemoteFile) -> str:
    from huggingface_hub import hf_hub_url

    return hf_hub_url(listing.artifact.repository, file.name, revision=listing.commit)


def _bar(received: Received) -> type[Any]:
    """A class of silent progress bars that tell the bytes of one file."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            self.n = kwargs.get("initial") or 0

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self._counts_bytes:
                received(int(self.n))

        def update_transfer(self, n: float) -> None:
            """Bytes on the wire, which are fewer than the file's where they are compressed."""

    return Bar


def explain(error: Exception, artifact: Artifact, name: str | None = None) -> PullError:
    """What the library's error means to the user."""
    from huggingface_hub import errors

    repository = artifact.repository
    match error:
        case errors.GatedRepoError():
            return PullError(
                f"{repository} is gated: accept its terms on the hub, then set HF_TOKEN to a "
                "token of that account.",
                code="gated",
            )
        case errors.RepositoryNotFoundError():
            return PullError(
                f"There is no repository {repository}, or it is private: set HF_TOKEN.",
                code="not_found",
            )
        case errors.RevisionNotFoundError():
            return PullError(
                f"{repository} has no revision {artifact.revision}.", code="revision_not_found"
            )
        case errors.RemoteEntryNotFoundError():
            return PullError(f"{artifact} has no file {name}.", code="file_not_found")
        case errors.LocalEntryNotFoundError() if isinstance(error.__cause__, Exception):
            return explain(error.__cause__, artifact, name)
        case errors.HfHubHTTPError() if (response := error.response) is not None:
            return _refused(response.status_code, response.headers.get("Retry-After"), artifact)
        case _:
            return explain_system(error, "Hugging Face", "HF_HOME", "HF_ENDPOINT")


def _refused(status: int, retry_after: str | None, artifact: Artifact) -> PullError:
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    match status:
        case 401:
            return PullError(
                f"Hugging Face does not accept the token for {artifact.repository}: set HF_TOKEN "
                "to a valid one.",
                code="unauthorized",
            )
        case 403:
            return PullError(
                f"The token may not read {artifact.repository}: set HF_TOKEN to one that may.",
                code="unauthorized",
            )
        case 429:
            return PullError(
                "Hugging Face refuses more requests for now.", code="rate_limited", retry_after=wait
            )
        case _:
            return PullError(
                f"Hugging Face answers with status {status}.",
                code="hub_error" if status >= 500 else "refused",
                retry_after=wait,
            )
