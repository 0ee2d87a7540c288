"""``codeserve chat``: a conversation in the terminal."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, ModelId, Url

if TYPE_CHECKING:
    from codeserve.app.cli.client import ServerClient


class Conversation:
    """Messages with one model, which remembers what was said."""

    def __init__(self, server: "ServerClient", model: str, system: str | None) -> None:
        self._server = server
        self._model = model
        self._messages = [{"role": "system", "content": system}] if system is not None else []

    def ask(self, message: str) -> Iterator[str]:
        """Say ``message``; the pieces of the answer as they come."""
        self._messages.append({"role": "user", "content": message})
        body = {"model": self._model, "messages": self._messages}
        pieces: list[str] = []
        try:
            for choice in self._server.stream("/v1/chat/completions", body):
                piece = choice["delta"].get("content") or ""
                pieces.append(piece)
                yield piece
        finally:
            self._messages.append({"role": "assistant", "content": "".join(pieces)})


def chat(
    message: Annotated[
        str | None,
        typer.Argument(help="One message; default: read from stdin, or a conversation."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="System prompt.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    model: ModelId = None,
) -> None:
    """Talk to a running server: one MESSAGE, or a conversation until Ctrl-D."""
    from codeserve.app.cli.client import ServerClient

    with ServerClient(url, api_key) as server:
        conversation = Conversation(server, model or server.first_model(), system)
        if message is None and sys.stdin.isatty():
            _converse(conversation)
        else:
            _show(conversation.ask(sys.stdin.read() if message is None else message))


def _converse(conversation: Conversation) -> None:
    """Ask what is typed until the input ends; Ctrl-C stops an answer."""
    import readline  # noqa: F401 - input() edits lines once it is imported

    while True:
        try:
            message = input("> ")
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return
        if message.strip():
            try:
                _show(conversation.ask(message))
            except KeyboardInterrupt:
                typer.echo()


def _show(pieces: Iterator[str]) -> None:
    for piece in pieces:
        typer.echo(piece, nl=False)
    typer.echo()
