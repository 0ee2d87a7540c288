"""``codeserve logs``: what a model's workers write."""

import typer

from codeserve.app.cli.options import (
    DEFAULT_URL,
    ApiKey,
    EventsAsJson,
    Follow,
    Lines,
    ModelUid,
    Url,
)


def logs(
    model_uid: ModelUid,
    lines: Lines = 50,
    follow: Follow = False,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: EventsAsJson = False,
) -> None:
    """Show the last lines that a model's workers have written; with -f, those to come too."""
    from codeserve.app.cli.client import ServerClient, path_of
    from codeserve.app.cli.following import until_interrupted
    from codeserve.app.cli.tables import print_json_line

    with ServerClient(endpoint, api_key) as server, until_interrupted():
        for entry in server.entries(f"{path_of(model_uid)}/logs", "lines", lines, follow=follow):
            line = entry["line"] if follow else entry
            if as_json:
                print_json_line({"line": line})
            else:
                typer.echo(line)
