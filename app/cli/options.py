"""Options of the commands that talk to a running server."""

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[str, typer.Option(envvar="CODESERVE_URL", help="Address of the server.")]
ModelId = Annotated[
    str | None, typer.Option("--model", help="Id of the model; default: the first one served.")
]
