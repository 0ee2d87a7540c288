"""What a client still sends when its answer is ready."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ReadToTheEnd:
    """Reads the rest of a request's body before the answer ends, where that closes the connection:
    the HTTP server would close it on unread data, and the reset could overtake the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _closes(scope):
            await self._app(scope, receive, send)
            return
        unread = True

        async def receive_noting() -> Message:
            nonlocal unread
            message = await receive()
            unread = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_when_read(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                while unread:
                    await receive_noting()
            await send(message)

        await self._app(scope, receive_noting, send_when_read)


def _closes(scope: Scope) -> bool:
    """The connection ends with the answer, and the client sends its body unasked."""
    headers = Headers(scope=scope)
    closes = scope["http_version"] == "1.0" or headers.get("connection", "").lower() == "close"
    return closes and "expect" not in headers
