"""``codeserve export`` and ``codeserve import``: weights for machines that reach no hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.library_options import Config, ModelFormat, References
from codeserve.app.cli.options import AsJson

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library
    from codeserve.model_specs.hub.stored import Stored

NOTHING_LEFT = "Interrupted. Nothing was left behind."


def export_bundle(
    references: References,
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write: FILE.tar.")],
    model_format: ModelFormat = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write pulled weights into one file, with a manifest of every file's SHA-256.

    Shows a bar on a terminal, else JSON, an event a line.
    """
    from rich.filesize import decimal

    from codeserve.app.cli.library import Library
    from codeserve.app.cli.transfer_display import TransferDisplay
    from codeserve.model_specs.hub import bundle
    from codeserve.model_specs.hub.bundle_manifest import BundleError

    library = Library.open(config)
    found = library.here(references, model_format)
    if output.exists() and not force:
        fail(f"{output} exists; --force replaces it.", USAGE_ERROR)
    with TransferDisplay(as_json) as display:
        display.begin(output.name)
        try:
            with display.interruptible(NOTHING_LEFT) as progress:
                weights = _one_of_each(library, found)
                definitions = _definitions(library, weights)
                manifest = bundle.write(output, weights, definitions, progress)
        except BundleError as error:
            display.fail(str(error), "bundle_error")
        except OSError as error:
            display.fail(f"{error.filename}: {error.strerror}.", "disk")
        titles = [library.title(one) for one in weights]
        display.say(
            "exported",
            f"{output} holds {', '.join(titles)}: {decimal(manifest.total_bytes)}.\n"
            f"On the other machine: codeserve import {output.name}",
            path=str(output),
            bytes=manifest.total_bytes,
            weights=titles,
            definitions=sorted(definitions),
        )


def import_bundle(
    bundle_file: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take the weights out of a bundle, every digest checked, so that they can be served without
    a network.

    Shows a bar on a terminal, else JSON, an event a line.
    """
    from codeserve.app.cli.definitions import check, install
    from codeserve.app.cli.library import Library
    from codeserve.app.cli.transfer_display import TransferDisplay
    from codeserve.app.registrations import families_folder
    from codeserve.model_specs.errors import SpecError
    from codeserve.model_specs.hub import bundle
    from codeserve.model_specs.hub.bundle_manifest import BundleError

    library = Library.open(config)
    families = families_folder(library.server)
    with TransferDisplay(as_json) as display:
        display.begin(bundle_file.name)
        try:
            definitions = bundle.read_manifest(bundle_file).definitions
            check(definitions, library.catalog, families)
            with display.interruptible(NOTHING_LEFT) as progress:
                weights = bundle.unpack(bundle_file, library.server.store / "files", progress)
            registered = install(definitions, library.catalog, families)
            for one in weights:
                library.store.add(one)
        except (BundleError, SpecError) as error:
            display.fail(str(error), "bundle_error")
        except OSError as error:
            display.fail(f"{error.filename or library.server.store}: {error.strerror}.", "disk")
        if registered:
            names = ", ".join(registered)
            display.say("registered", f"Registered {names}.", families=list(registered))
        library = Library.open(config)
        for one in weights:
            serve = library.how_to_serve(one, config)
            display.say(
                "imported",
                f"{library.title(one)}: {one.path}\nServe it: {serve}",
                path=str(one.path),
                bytes=one.bytes,
                weights=library.title(one),
                serve=serve,
            )


def _one_of_each(library: "Library", weights: "Sequence[Stored]") -> "list[Stored]":
    """The first of those that are the same spec from several hubs, with all digests."""
    from msgspec.structs import replace

    from codeserve.model_specs.hub.stored import inspect

    first: dict[str, Stored] = {}
    for one in weights:
        first.setdefault(library.title(one), one)
    return [
        replace(
            one,
            files=tuple(
                file if file.sha256 else inspect(one.root, file.name) for file in one.files
            ),
        )
        for one in first.values()
    ]


def _definitions(library: "Library", weights: "Sequence[Stored]") -> Mapping[str, str]:
    """The family files of the user's own that these weights need."""
    from codeserve.app.cli.definitions import collect
    from codeserve.model_specs.catalog import SHIPPED

    found: dict[str, str] = {}
    for one in weights:
        selection = library.selection(one)
        file = None if selection is None else library.catalog.file(selection.family.model_name)
        if file is not None and not file.is_relative_to(SHIPPED):
            found |= collect(file)
    return found
