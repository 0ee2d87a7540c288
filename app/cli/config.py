"""``codeserve config``: the config file."""

from pathlib import Path
from typing import Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail

config_app = typer.Typer(no_args_is_help=True, help="Check a config file.")


@config_app.callback()
def _config() -> None:
    """Check a config file."""


@config_app.command()
def validate(file: Annotated[Path, typer.Argument(help="Config file (TOML).")]) -> None:
    """Check a config file: its keys and values, and that each model is one that can be chosen."""
    from codeserve.app.environments.engines import Engines
    from codeserve.app.manager.resolution import resolve
    from codeserve.app.registrations import load_catalog
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings
    from codeserve.engines.errors import ServingError
    from codeserve.model_specs.errors import SpecError

    problems = []
    try:
        settings = Settings.load(file)
        catalog = load_catalog(settings.server)
    except (SettingsError, SpecError) as error:
        fail(str(error), USAGE_ERROR)
    for model in settings.models:
        try:
            resolve(model, catalog, Engines(settings.server.engines))
        except ServingError as error:
            problems.append(f"{file}: {model.id}: {error.message}")
    if problems:
        fail("\n".join(problems), USAGE_ERROR)
    names = ", ".join(model.id for model in settings.models)
    typer.echo(f"{file} is valid: it serves {names or 'no model'}")
