"""ModelScope, by ``modelscope_hub``, in the cache that it shares with other programs.

The library reads its environment variables (``MODELSCOPE_API_TOKEN``, ``MODELSCOPE_ENDPOINT``,
``MODELSCOPE_CACHE`` and others) when it is imported; it is imported in the process that pulls only.
It goes on from the partial file that a killed process has left.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.client import Received
from codeserve.model_specs.hub.listing import Listing, RemoteFile
from codeserve.model_specs.hub.system_errors import explain_system

if TYPE_CHECKING:
    from modelscope_hub import HubApi

BRANCH = "master"
"""The library's own default."""


class ModelScope:
    """The hub that ``MODELSCOPE_ENDPOINT`` names."""

    @cached_property
    def _api(self) -> "HubApi":
        from modelscope_hub import HubApi

        return HubApi()

    @property
    def cache(self) -> Path:
        """``MODELSCOPE_CACHE``."""
        return cache_folder()

    def list(self, artifact: Artifact) -> Listing:
        """All files with their SHA-256, where the hub gives it; the library tries again."""
        try:
            files = self._api.list_repo_files(
                artifact.repository, "model", revision=artifact.revision
            )
        except Exception as error:
            raise self._explain_listing(error, artifact) from error
        return Listing(
            artifact=artifact,
            commit=None,
            files=tuple(
                RemoteFile(name=file.path, bytes=file.size, sha256=file.sha256 or None)
                for file in files
                if not file.is_dir
            ),
        )

    def present(self, listing: Listing, file: RemoteFile) -> int:
        """Of the file itself, or of the partial one."""
        path = snapshot(self.cache, listing.artifact) / file.name
        for candidate in (path, path.with_name(f"{path.name}.incomplete")):
            if candidate.exists():
                return min(candidate.stat().st_size, file.bytes)
        return 0

    def fetch(self, listing: Listing, file: RemoteFile, received: Received) -> Path:
        """The file in the snapshot of its revision."""
        path = snapshot(self.cache, listing.artifact) / file.name
        if not path.is_file() or path.stat().st_size != file.bytes:
            self._fetch(listing, file, received)
        received(file.bytes)
        return path

    def _fetch(self, listing: Listing, file: RemoteFile, received: Received) -> None:
        from modelscope_hub.errors import FileDownloadError

        wanted = {"Path": file.name, "Size": file.bytes or None}
        try:
            self._api.download_repo(
                listing.artifact.repository,
                "model",
                revision=listing.artifact.revision,
                file_list=[wanted],
                max_workers=1,
                progress_callbacks=[_callback(received)],
            )
        except FileDownloadError as error:
            cause = next(iter(error.failed_files.values()), error)
            raise explain(cause, listing.artifact, file.name) from error
        except Exception as error:
            raise explain(error, listing.artifact, file.name) from error

    def _explain_listing(self, error: Exception, artifact: Artifact) -> PullError:
        """The hub answers 404 to a revision that is gone as to a repository that is."""
        from modelscope_hub.errors import NotExistError

        try:
            gone = isinstance(error, NotExistError) and self._api.repo_exists(
                artifact.repository, "model"
            )
        except Exception as second:  # noqa: BLE001
            return explain(second, artifact)
        if gone:
            return PullError(
                f"{artifact.repository} has no revision {artifact.revision or BRANCH}.",
                code="revision_not_found",
            )
        return explain(error, artifact)


def cache_folder() -> Path:
    """The folder that the library will use; it need not be imported to know."""
    home = os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope"
    return Path(home).expanduser().resolve()


def snapshot(cache: Path, artifact: Artifact) -> Path:
    """Where the library keeps the files of a revision, or those of its older releases."""
    owner, _, name = artifact.repository.partition("/")
    for models in (cache / "models", cache / "hub" / "models"):
        older = models / owner / name.replace(".", "___")
        if older.is_dir() and any(older.iterdir()):
            return older
    folder = f"{owner}--{name}"
    return cache / "models" / folder / "snapshots" / (artifact.revision or BRANCH)


def _callback(received: Received) -> type[Any]:
    """A class of callbacks that tell the bytes of one file."""
    from modelscope_hub import ProgressCallback

    class Callback(ProgressCallback):  # type: ignore[misc]
        def __init__(self, filename: str, file_size: int) -> None:
            super().__init__(filename, file_size)
            self._done = 0

        def update(self, size: int) -> None:
            self._done += size
            received(self._done)

    return Callback


def explain(error: BaseException, artifact: Artifact, name: str | None = None) -> PullError:
    """What the library's error means to the user."""
    from modelscope_hub import errors

    repository = artifact.repository
    match error:
        case errors.FileIntegrityError():
            return PullError(f"{name} arrives damaged: {error}", code="corrupt")
        case errors.AuthenticationError():
            return PullError(
                f"ModelScope asks for a valid token for {repository}: set MODELSCOPE_API_TOKEN.",
                code="unauthorized",
            )
        case errors.PermissionDeniedError():
            return PullError(
                f"{repository} is gated or private: ask for access on the hub, then set "
                "MODELSCOPE_API_TOKEN to a token of that account.",
                code="gated",
            )
        case errors.NotExistError() if name is not None:
            return PullError(f"{artifact} has no file {name}.", code="file_not_found")
        case errors.NotExistError():
            return PullError(
                f"There is no repository {repository}, or it is private: set MODELSCOPE_API_TOKEN.",
                code="not_found",
            )
        case errors.RateLimitError():
            return PullError(
                "ModelScope refuses more requests for now.",
                code="rate_limited",
                retry_after=getattr(error, "retry_after", None),
            )
        case errors.APIError():
            return PullError(
                f"ModelScope answers with status {error.status_code}.",
                code="hub_error" if isinstance(error, errors.ServerError) else "refused",
            )
        case _:
            return explain_system(error, "ModelScope", "MODELSCOPE_CACHE", "MODELSCOPE_ENDPOINT")
