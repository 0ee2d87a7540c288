"""``codeserve unload``: take back a model's memory."""

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, ModelUid, Url


def unload(
    model_uid: ModelUid,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Take back a model's memory; it loads again with the next request for it."""
    from codeserve.app.cli.client import ServerClient, path_of
    from codeserve.app.cli.tables import print_json

    with ServerClient(endpoint, api_key) as server:
        model = server.ask("POST", f"{path_of(model_uid)}/unload")
    if as_json:
        print_json(model)
    else:
        typer.echo(f"{model_uid} is unloaded")
