"""``codeserve register``: add a model family to a running server."""

from pathlib import Path
from typing import Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url


def register(
    file: Annotated[Path, typer.Option("--file", "-f", help="Family file (TOML).")],
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Add a family of models of your own to a running server, which remembers it."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json

    try:
        definition = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{file}: not a text file in UTF-8", USAGE_ERROR)
    except OSError as error:
        fail(f"{file}: {error.strerror}", USAGE_ERROR)
    with ServerClient(endpoint, api_key) as server:
        answer = server.ask("POST", "/v1/model_registrations/LLM", {"model": definition})
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['model_name']} is registered")
