"""``codeserve terminate``: end a model."""

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, ModelUid, Url


def terminate(
    model_uid: ModelUid,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """End a model, or its launch: requests that run may finish, and its memory is given back."""
    from codeserve.app.cli.client import ServerClient, path_of
    from codeserve.app.cli.tables import print_json

    with ServerClient(endpoint, api_key) as server:
        server.ask("DELETE", path_of(model_uid))
    if as_json:
        print_json({"model_uid": model_uid, "state": "stopped"})
    else:
        typer.echo(f"{model_uid} is terminated")
