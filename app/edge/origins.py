"""Web pages may ask models, but those of other origins do not decide which are served."""

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import Request

from codeserve.app.edge.refusals import ForeignPage

READING = frozenset({"GET", "HEAD", "OPTIONS"})


class OwnPages:
    """A dependency of routes that change the server: its own pages may use them, and those of
    origins that the settings name one by one."""

    def __init__(self, named: Collection[str]) -> None:
        """``named``: the settings' ``cors_origins``, in which ``"*"`` names nobody."""
        self._named = frozenset(named) - {"*"}

    async def __call__(self, request: Request) -> None:
        """Let the request pass. Raises ForeignPage.

        Programs that are no browsers send no ``Origin``; browsers always do with such requests.
        """
        origin = request.headers.get("origin")
        if origin is None or request.method in READING or origin in self._named:
            return
        if urlsplit(origin).netloc != request.headers.get("host"):
            raise ForeignPage(
                f"Web pages of {origin} may not change what this server does. To let them, name "
                "their origin in cors_origins."
            )
