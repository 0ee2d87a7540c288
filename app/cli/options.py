"""Options of the commands that talk to a running server."""

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[
    str,
    typer.Option(
        "--endpoint", "--url", "-e", envvar="CODESERVE_URL", help="Address of the server."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", "-ak", envvar="CODESERVE_API_KEY", help="Sent as a bearer token."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EventsAsJson = Annotated[bool, typer.Option("--json", help="Print events as JSON, one a line.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show how it goes on to the end.")]
ModelId = Annotated[
    str | None, typer.Option("--model", help="Id of the model; default: the first one served.")
]
ModelUid = Annotated[str, typer.Option("--model-uid", "-u", help="Id of the model.")]
Lines = Annotated[int, typer.Option("--lines", min=0, help="How many of the last ones to show.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]
