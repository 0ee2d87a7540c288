"""The ``codeserve`` command. Commands import what they need when they run, so that ``--help``,
``--version`` and shell completion answer at once."""

from importlib.metadata import version
from typing import Annotated

import typer

from codeserve.app.cli.apply import apply, diff
from codeserve.app.cli.bench import bench
from codeserve.app.cli.bundles import export_bundle, import_bundle
from codeserve.app.cli.cached import cached
from codeserve.app.cli.chat import chat
from codeserve.app.cli.complete import complete
from codeserve.app.cli.config import config_app
from codeserve.app.cli.doctor import doctor
from codeserve.app.cli.engine import engine
from codeserve.app.cli.engines import engines_app
from codeserve.app.cli.events import events
from codeserve.app.cli.follow import follow
from codeserve.app.cli.keys import keys_app
from codeserve.app.cli.launch import launch
from codeserve.app.cli.launch_options import LaunchCommand
from codeserve.app.cli.list import list_launched
from codeserve.app.cli.logs import logs
from codeserve.app.cli.models import models_app
from codeserve.app.cli.parity import parity
from codeserve.app.cli.pin import pin
from codeserve.app.cli.plan import plan
from codeserve.app.cli.ps import ps
from codeserve.app.cli.pull import pull
from codeserve.app.cli.register import register
from codeserve.app.cli.registrations import registrations
from codeserve.app.cli.restart import restart
from codeserve.app.cli.rm import remove_cache, rm
from codeserve.app.cli.serve import serve
from codeserve.app.cli.terminate import terminate
from codeserve.app.cli.unload import unload
from codeserve.app.cli.unregister import unregister
from codeserve.app.cli.verify import verify

INSPECTION = "Measure and inspect"


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
    cli.command()(follow)
    cli.command()(chat)
    cli.command()(complete)
    cli.add_typer(keys_app, name="keys")
    _add_models(cli, "Models of a running server")
    _add_families(cli, "What can be served")
    _add_weights(cli, "Weights on this machine")
    cli.command(rich_help_panel=INSPECTION)(bench)
    cli.command(rich_help_panel=INSPECTION)(parity)
    cli.command(rich_help_panel=INSPECTION)(doctor)
    cli.add_typer(config_app, name="config", rich_help_panel=INSPECTION)
    return cli


def _add_models(cli: typer.Typer, panel: str) -> None:
    cli.command(cls=LaunchCommand, rich_help_panel=panel)(launch)
    cli.command("list", rich_help_panel=panel)(list_launched)
    cli.command(rich_help_panel=panel)(ps)
    cli.command(rich_help_panel=panel)(terminate)
    cli.command(rich_help_panel=panel)(restart)
    cli.command(rich_help_panel=panel)(pin)
    cli.command(rich_help_panel=panel)(unload)
    cli.command(rich_help_panel=panel)(logs)
    cli.command(rich_help_panel=panel)(events)
    cli.command(rich_help_panel=panel)(diff)
    cli.command(rich_help_panel=panel)(apply)


def _add_families(cli: typer.Typer, panel: str) -> None:
    cli.add_typer(models_app, name="models", rich_help_panel=panel)
    cli.add_typer(engines_app, name="engines", rich_help_panel=panel)
    cli.command(rich_help_panel=panel)(engine)
    cli.command(cls=LaunchCommand, rich_help_panel=panel)(plan)
    cli.command(rich_help_panel=panel)(registrations)
    cli.command(rich_help_panel=panel)(register)
    cli.command(rich_help_panel=panel)(unregister)


def _add_weights(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel)(pull)
    cli.command(rich_help_panel=panel)(verify)
    cli.command(rich_help_panel=panel)(cached)
    cli.command(rich_help_panel=panel)(rm)
    cli.command("remove-cache", rich_help_panel=panel)(remove_cache)
    cli.command("export", rich_help_panel=panel)(export_bundle)
    cli.command("import", rich_help_panel=panel)(import_bundle)


def main() -> None:
    """Run the command line."""
    build_cli()()
