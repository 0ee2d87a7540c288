"""Which route a request takes."""

from starlette.types import ASGIApp, Receive, Scope, Send

from codeserve.app.edge.record import record_of


class NoteRoute:
    """Writes the path of a request's route into its record. Belongs within all that copies scopes,
    as the framework writes the route into the innermost one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http" and "route" in scope:
                record_of(scope).route = scope["route"].path
