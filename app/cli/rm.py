"""``codeserve rm`` and ``codeserve remove-cache``: delete what was pulled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.library_options import Config, ModelFormat, References
from codeserve.app.cli.options import AsJson

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library
    from codeserve.model_specs.hub.stored import Stored

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def rm(
    references: References,
    model_format: ModelFormat = None,
    yes: Yes = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Delete weights from this machine."""
    from codeserve.app.cli.library import Library

    library = Library.open(config)
    _remove(library, library.here(references, model_format), yes, as_json)


def remove_cache(
    model_version: Annotated[
        str | None,
        typer.Option(
            "--model-version",
            "--model_version",
            "-v",
            help="As `cached --json` shows it: NAME--SIZEB--FORMAT--QUANTIZATION.",
        ),
    ] = None,
    model_name: Annotated[
        str | None,
        typer.Option("--model-name", "--model_name", "-n", help="All weights of this family."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "--check", "-y", help="Do not ask.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Delete weights from this machine, named as Xinference names them."""
    from codeserve.app.cli.cached import cached_rows
    from codeserve.app.cli.library import Library

    if model_version is None and model_name is None:
        fail("say what to delete: --model-version VERSION or --model-name NAME", USAGE_ERROR)
    library = Library.open(config)
    stored = library.store.stored()
    found = [
        one
        for one, row in zip(stored, cached_rows(library, stored), strict=True)
        if model_version in (None, row["model_version"]) and model_name in (None, row["model_name"])
    ]
    if not found:
        asked = " ".join(filter(None, (model_name, model_version)))
        fail(f"{asked} is not on this machine; `codeserve cached` lists what is.", USAGE_ERROR)
    _remove(library, found, yes, as_json)


def _remove(library: "Library", weights: "Sequence[Stored]", yes: bool, as_json: bool) -> None:
    from rich.filesize import decimal

    from codeserve.app.cli.tables import print_json
    from codeserve.model_specs.errors import PullError

    for stored in weights:
        where = f"{library.title(stored)}: {decimal(stored.bytes)} at {stored.path}"
        typer.echo(where, err=True)
    if not yes:
        typer.confirm("Delete this?", abort=True, err=True)
    try:
        freed = sum(library.store.remove(stored) for stored in weights)
    except PullError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}.")
    if as_json:
        print_json({"removed": [str(stored.path) for stored in weights], "bytes_freed": freed})
    else:
        typer.echo(f"{decimal(freed)} were freed.")
