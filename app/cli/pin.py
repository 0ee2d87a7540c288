"""``codeserve pin``: keep a model loaded."""

from typing import Annotated

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, ModelUid, Url


def pin(
    model_uid: ModelUid,
    off: Annotated[bool, typer.Option("--off", help="Let it be unloaded again.")] = False,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Never unload a model, neither when it is idle nor to make room for others."""
    from codeserve.app.cli.client import ServerClient, path_of
    from codeserve.app.cli.tables import print_json

    with ServerClient(endpoint, api_key) as server:
        model = server.ask("POST", f"{path_of(model_uid)}/{'unpin' if off else 'pin'}")
    if as_json:
        print_json(model)
    else:
        typer.echo(f"{model_uid} is {'no longer pinned' if off else 'pinned'}")
