"""``codeserve restart``: end a model's workers and load it again."""

import typer

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, EventsAsJson, ModelUid, Url, Wait


def restart(
    model_uid: ModelUid,
    wait: Wait = True,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: EventsAsJson = False,
) -> None:
    """Load a model again with the same arguments, whatever state it is in."""
    from codeserve.app.cli.client import AT_ONCE, ServerClient, path_of
    from codeserve.app.cli.following import follow_job
    from codeserve.app.cli.tables import print_json_line

    with ServerClient(endpoint, api_key) as server:
        answer = server.ask("POST", f"{path_of(model_uid)}/restart", params=AT_ONCE)
        if as_json:
            print_json_line({"event": "restarted", **answer})
        state = follow_job(server, answer, as_json=as_json)["state"] if wait else "being restarted"
        if not as_json:
            typer.echo(f"{model_uid} is {state}")
