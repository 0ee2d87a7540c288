"""``codeserve events``: what happened to models."""

from collections.abc import Mapping
from typing import Any

import typer

from codeserve.app.cli.options import (
    DEFAULT_URL,
    ApiKey,
    EventsAsJson,
    Follow,
    Lines,
    Url,
)


def events(
    lines: Lines = 50,
    follow: Follow = False,
    endpoint: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: EventsAsJson = False,
) -> None:
    """Show what happened to models, and why; with -f, as it happens."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.following import until_interrupted
    from codeserve.app.cli.tables import print_json_line

    with ServerClient(endpoint, api_key) as server, until_interrupted():
        for event in server.entries("/v1/events", "data", lines, follow=follow):
            if as_json:
                print_json_line(event)
            else:
                typer.echo(_line(event))


def _line(event: Mapping[str, Any]) -> str:
    from datetime import datetime

    at = datetime.fromtimestamp(event["at"]).astimezone().isoformat(" ", "seconds")
    words = (at, event["model"], event["kind"], event["state"], event["message"])
    return "  ".join(filter(None, words))
