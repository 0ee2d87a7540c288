"""``codeserve complete``: code goes on, or a hole in it is filled."""

import sys
from typing import Annotated

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, ModelId, Url


def complete(
    prompt: Annotated[
        str | None, typer.Argument(help="Text to continue; default: read from stdin.")
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Text after the hole that the model shall fill.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens to generate.")] = 256,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    model: ModelId = None,
) -> None:
    """Continue PROMPT with a running server, or fill the hole between PROMPT and --suffix."""
    from codeserve.app.cli.client import ServerClient

    with ServerClient(url, api_key) as server:
        body = {
            "model": model or server.first_model(),
            "prompt": sys.stdin.read() if prompt is None else prompt,
            "suffix": suffix,
            "max_tokens": max_tokens,
        }
        for choice in server.stream("/v1/completions", body):
            typer.echo(choice["text"], nl=False)
    if sys.stdout.isatty():
        typer.echo()
