"""The ``codeserve`` command. Commands import what they need when they run, so that ``--help``,
``--version`` and shell completion answer at once."""

from importlib.metadata import version
from typing import Annotated

import typer

from codeserve.app.cli.bench import bench
from codeserve.app.cli.chat import chat
from codeserve.app.cli.complete import complete
from codeserve.app.cli.doctor import doctor
from codeserve.app.cli.engines import engines_app
from codeserve.app.cli.launch_options import LaunchCommand
from codeserve.app.cli.models import models_app
from codeserve.app.cli.parity import parity
from codeserve.app.cli.plan import plan
from codeserve.app.cli.serve import serve


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"codeserve {version('codeserve')}")
        raise typer.Exit


def _start(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Serve DeepSeek Coder models behind an OpenAI-compatible API."""


def build_cli() -> typer.Typer:
    """The command with all its sub-commands."""
    cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    cli.callback()(_start)
    cli.command()(serve)
    cli.command()(chat)
    cli.command()(complete)
    cli.command()(bench)
    cli.command()(parity)
    cli.command(cls=LaunchCommand)(plan)
    cli.command()(doctor)
    cli.add_typer(models_app, name="models")
    cli.add_typer(engines_app, name="engines")
    return cli


def main() -> None:
    """Run the command line."""
    build_cli()()
