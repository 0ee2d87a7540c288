"""``codeserve pull``: weights from a hub to this machine, before they are served."""

from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.library_options import Config, ModelFormat, RemoteHub
from codeserve.app.cli.options import AsJson

if TYPE_CHECKING:
    from codeserve.app.cli.library import Library, Wanted

INTERRUPTED_NOTE = "Interrupted. What was fetched is kept: the same command goes on from there."


def pull(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="SPEC|REPOSITORY",
            help="NAME[:SIZE][:QUANTIZATION] of the catalogue, such as "
            "deepseek-coder-instruct:1_3:Q4_K_M, or a repository of a hub: owner/name.",
        ),
    ],
    file: Annotated[
        list[str] | None,
        typer.Option(
            help="File or pattern of the repository, such as '*Q4_K_M.gguf'; may be given several "
            "times. Default: a Hugging Face folder."
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Commit, tag or branch of the repository.")
    ] = None,
    hub: Annotated[
        RemoteHub | None,
        typer.Option(
            help="The only hub to ask; default: those of the SPEC in turn, for a repository "
            "huggingface."
        ),
    ] = None,
    model_format: ModelFormat = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, verified, and say how to serve them. What is here already is not fetched.

    Shows a bar on a terminal, else JSON, an event a line.
    """
    from codeserve.app.cli.library import Library
    from codeserve.app.cli.transfer_display import TransferDisplay
    from codeserve.model_specs.errors import PullError

    library = Library.open(config)
    wanted = _wanted(library, reference, file or [], revision, hub, model_format)
    with TransferDisplay(as_json) as display:
        display.begin(reference)
        try:
            with display.interruptible(INTERRUPTED_NOTE) as progress:
                stored = library.store.pull(wanted.sources, progress)
        except PullError as error:
            display.fail(str(error), error.code)
        serve = library.how_to_serve(stored, config)
        display.say(
            "pulled",
            f"{stored.path}\nServe it: {serve}",
            path=str(stored.path),
            bytes=stored.bytes,
            hub=str(stored.artifact.hub),
            repository=stored.artifact.repository,
            revision=stored.artifact.revision,
            commit=stored.commit,
            serve=serve,
        )


def _wanted(
    library: "Library",
    reference: str,
    files: list[str],
    revision: str | None,
    hub: RemoteHub | None,
    model_format: str | None,
) -> "Wanted":
    from codeserve.app.cli.library import Wanted, is_repository
    from codeserve.model_specs.hub.artifact import Artifact
    from codeserve.model_specs.spec import Hub

    if not is_repository(reference):
        if files or revision:
            fail(
                "--file and --revision go with a repository, owner/name; a SPEC has its own.",
                USAGE_ERROR,
            )
        return library.spec(reference, model_format, Hub(hub) if hub else None)
    if model_format is not None:
        fail("--model-format goes with a SPEC; of a repository, choose by --file.", USAGE_ERROR)
    artifact = Artifact(
        hub=Hub(hub or RemoteHub.HUGGINGFACE),
        repository=reference,
        revision=revision,
        files=tuple(files),
    )
    return Wanted(reference, (artifact,), None)
