"""``codeserve verify``: whether what was pulled is still what the hub gave."""

from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import RUNTIME_ERROR
from codeserve.app.cli.library_options import Config, ModelFormat
from codeserve.app.cli.options import AsJson

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library
    from codeserve.app.cli.transfer_display import TransferDisplay
    from codeserve.model_specs.hub.stored import Damage, Stored

INTERRUPTED_NOTE = "Interrupted. What was fetched is kept."


def verify(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPEC|REPOSITORY]...",
            help="NAME[:SIZE][:QUANTIZATION] of the catalogue, or a repository: owner/name; "
            "default: all that was pulled.",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch damaged files anew, and only those.")
    ] = False,
    model_format: ModelFormat = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read every file and compare its SHA-256 with the hub's. The exit code is 1 if a file is
    damaged and was not repaired.

    Shows a bar on a terminal, else JSON, an event a line.
    """
    from codeserve.app.cli.library import Library
    from codeserve.app.cli.transfer_display import TransferDisplay

    library = Library.open(config)
    weights = library.here(references, model_format) if references else library.store.stored()
    with TransferDisplay(as_json) as display:
        if not weights:
            display.say("nothing", f"Nothing was pulled into {library.server.store}.")
        sound = [_verify(library, stored, repair, display) for stored in weights]
    if not all(sound):
        raise typer.Exit(RUNTIME_ERROR)


def _verify(library: "Library", stored: "Stored", repair: bool, display: "TransferDisplay") -> bool:
    """Whether the weights are sound in the end."""
    from rich.filesize import decimal

    title = library.title(stored)
    display.begin(title)
    if not all(file.sha256 for file in stored.files):
        note = f"{title}: found here, but no hub has said what it should be."
        display.say("unconfirmed", note, path=str(stored.path))
        return True
    try:
        with display.interruptible(INTERRUPTED_NOTE) as progress:
            damages = library.store.verify(stored, progress)
    except OSError as error:
        display.warn(f"{title}: {error.filename}: {error.strerror}.", "disk")
        return False
    if not damages:
        files = f"{len(stored.files)} file{'s' if len(stored.files) > 1 else ''}"
        display.say(
            "sound",
            f"{title}: sound, {files}, {decimal(stored.bytes)}",
            path=str(stored.path),
            bytes=stored.bytes,
        )
        return True
    display.say(
        "damaged",
        "\n".join(f"{title}: {damage.file}: {damage.what}" for damage in damages),
        path=str(stored.path),
        damages=[{"file": damage.file, "what": damage.what} for damage in damages],
    )
    return repair and _repair(library, stored, damages, display)


def _repair(
    library: "Library", stored: "Stored", damages: "tuple[Damage, ...]", display: "TransferDisplay"
) -> bool:
    """Whether the damaged files could be fetched anew."""
    from codeserve.model_specs.errors import PullError

    title = library.title(stored)
    display.begin(title)
    try:
        with display.interruptible(INTERRUPTED_NOTE) as progress:
            library.store.repair(stored, progress)
    except PullError as error:
        display.warn(f"{title}: {error}", error.code)
        return False
    except OSError as error:
        display.warn(f"{title}: {error.filename}: {error.strerror}.", "disk")
        return False
    names = ", ".join(damage.file for damage in damages)
    display.say("repaired", f"{title}: repaired {names}", path=str(stored.path))
    return True
