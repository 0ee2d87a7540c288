"""``codeserve unregister``: take a model family from a running server."""

from typing import Annotated
from urllib.parse import quote

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url


def unregister(
    model_name: Annotated[str, typer.Option("--model-name", "-n", help="Name of the family.")],
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take back what `register` added; no launched model may be of the family."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json

    with ServerClient(endpoint, api_key) as server:
        server.ask("DELETE", f"/v1/model_registrations/LLM/{quote(model_name, safe='')}")
    if as_json:
        print_json({"model_name": model_name})
    else:
        typer.echo(f"{model_name} is no longer registered")
