"""``codeserve cached``: what was pulled to this machine."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeserve.app.cli.library_options import Config
from codeserve.app.cli.options import AsJson

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library
    from codeserve.model_specs.hub.stored import Stored

COLUMNS = ("name", "format", "size", "quantization", "hub", "bytes", "pulled", "path")


def cached(
    model_name: Annotated[
        str | None,
        typer.Option("--model-name", "--model_name", "-n", help="Only weights of this family."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what was pulled or imported, and where it is."""
    from codeserve.app.cli.library import Library
    from codeserve.app.cli.tables import print_json, print_table

    library = Library.open(config)
    rows = [
        row
        for row in cached_rows(library, library.store.stored())
        if model_name in (None, row["model_name"])
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(COLUMNS, map(_cells, rows))
    else:
        typer.echo(f"Nothing was pulled into {library.server.store}.")


def cached_rows(library: "Library", weights: "Iterable[Stored]") -> list[dict[str, Any]]:
    """What is known of each weights, under the names that Xinference gives it."""
    return [_row(library, stored) for stored in weights]


def _row(library: "Library", stored: "Stored") -> dict[str, Any]:
    selection = library.selection(stored)
    row: dict[str, Any] = {
        "model_name": None,
        "model_format": None,
        "model_size_in_billions": None,
        "quantization": None,
        "model_version": None,
    }
    if selection is not None:
        name, size = selection.family.model_name, selection.spec.size_in_billions
        model_format, quantization = str(selection.spec.model_format), selection.quantization
        row = {
            "model_name": name,
            "model_format": model_format,
            "model_size_in_billions": size,
            "quantization": quantization,
            "model_version": f"{name}--{size}B--{model_format}--{quantization}",
        }
    return {
        **row,
        "hub": str(stored.artifact.hub),
        "repository": stored.artifact.repository,
        "revision": stored.artifact.revision,
        "files": list(stored.artifact.files),
        "commit": stored.commit,
        "bytes": stored.bytes,
        "pulled_at": stored.pulled_at,
        "path": str(stored.path),
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from rich.filesize import decimal

    return (
        row["model_name"] or row["repository"],
        row["model_format"] or "",
        row["model_size_in_billions"] or "",
        row["quantization"] or "",
        row["hub"],
        decimal(row["bytes"]),
        f"{datetime.fromtimestamp(row['pulled_at']):%Y-%m-%d %H:%M}",
        row["path"],
    )
