"""``codeserve launch``: have a running server load a model."""

from collections.abc import Mapping
from typing import Any

import typer

from codeserve.app.cli.launch_options import with_launch_options
from codeserve.app.cli.options import DEFAULT_URL, ApiKey, EventsAsJson, Url, Wait


@with_launch_options
def launch(
    request: Mapping[str, Any],
    wait: Wait = True,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: EventsAsJson = False,
) -> None:
    """Have a running server fetch and load a model; the server goes on if this command ends.

    Any further `--name VALUE` is an option of the engine: `--n_threads 8`, `--tune false`.
    """
    from codeserve.app.cli.client import AT_ONCE, ServerClient
    from codeserve.app.cli.following import follow_job
    from codeserve.app.cli.tables import print_json_line

    with ServerClient(endpoint, api_key) as server:
        answer = server.ask("POST", "/v1/models", request, AT_ONCE)
        if as_json:
            print_json_line({"event": "launched", **answer})
        if wait:
            model = follow_job(server, answer, as_json=as_json)
            if not as_json:
                typer.echo(_invitation(server.url, model, has_keys=api_key is not None))
        elif not as_json:
            typer.echo(f"{answer['model_uid']} is being launched; see: codeserve ps")


def _invitation(url: str, model: Mapping[str, Any], *, has_keys: bool) -> str:
    """Where the model is, and a first request to try."""
    from codeserve.app.cli.welcome import first_request

    model_id = model["id"]
    if model["state"] == "unloaded":
        return f"{model_id} is on {url} and loads with its first request."
    engine = (
        f"{model_id} is ready on {url} and runs on {model['engine']}: {model['engine_reason']}."
    )
    chats = "chat" in model["model_ability"]
    return f"{engine}\n\n{first_request(url, model_id, chats=chats, has_keys=has_keys)}"
