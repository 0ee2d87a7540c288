"""What pulling needs of a hub's own client library."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.listing import Listing, RemoteFile

Received = Callable[[int], None]
"""Told how many bytes of a file are here so far."""


class HubClient(Protocol):
    """One hub, spoken to by its own client library, in that library's own cache.

    The methods raise PullError; its code says whether trying again can help.
    """

    def list(self, artifact: Artifact) -> Listing:
        """All files of the repository at the artifact's revision, with sizes and digests."""
        ...

    def present(self, listing: Listing, file: RemoteFile) -> int:
        """Bytes of the file that are in the cache already; no network."""
        ...

    def fetch(self, listing: Listing, file: RemoteFile, received: Received) -> Path:
        """The file in the cache, downloaded if it is not there, from where it broke off.

        Its last parts are the file's name in the repository.
        """
        ...

    @property
    def cache(self) -> Path:
        """The folder of the library's cache; it need not exist."""
        ...
