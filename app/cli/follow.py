"""``codeserve follow``: be one of the other machines of a model that vLLM spreads over several."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail

if TYPE_CHECKING:
    from codeserve.app.manager.resolution import Resolution
    from codeserve.app.model_settings import ModelSettings
    from codeserve.app.settings import Settings


def follow(
    node_rank: Annotated[
        int, typer.Option(min=1, help="Which machine this is; the server's is 0.")
    ],
    config: Annotated[Path, typer.Option(help="The server's config file (TOML).")],
    model: Annotated[
        str | None,
        typer.Option(help="Id of the model in the config file; default: its only one."),
    ] = None,
) -> None:
    """Run vLLM's part on this machine of a model that it spreads over several (option nnodes)."""
    import msgspec

    from codeserve.app.manager.spawning import START
    from codeserve.engines.errors import ServingError

    try:
        found = _resolve(config, model)
        told = msgspec.json.encode(found.config(found.local_path()))
    except ServingError as error:
        fail(error.message)
    python = found.choice.python or sys.executable
    with TemporaryFile() as file:
        file.write(told)
        file.seek(0)
        os.dup2(file.fileno(), sys.stdin.fileno())
    command = [python, "-P", "-u", str(START), "follow", "--node-rank", str(node_rank)]
    try:
        os.execv(python, command)
    except OSError as error:
        fail(f"{python} does not run: {error}")


def _resolve(config: Path, model_id: str | None) -> "Resolution":
    """Where the model's weights and engine are. Raises ServingError."""
    from codeserve.app.environments.engines import Engines
    from codeserve.app.manager.resolution import resolve
    from codeserve.app.registrations import load_catalog
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings
    from codeserve.model_specs.errors import SpecError

    try:
        settings = Settings.load(config)
        catalog = load_catalog(settings.server)
    except (SettingsError, SpecError) as error:
        fail(str(error), USAGE_ERROR)
    model = _model(settings, model_id)
    if model.path is None:
        fail(f"the model {model.id!r} needs a path, the same on all machines", USAGE_ERROR)
    found = resolve(model, catalog, Engines(settings.server.engines))
    if found.choice.engine != "vllm":
        fail(f"only vLLM runs over several machines, not {found.choice.engine}", USAGE_ERROR)
    return found


def _model(settings: "Settings", model_id: str | None) -> "ModelSettings":
    models = {model.id: model for model in settings.models}
    if model_id is None and len(models) == 1:
        return next(iter(models.values()))
    if model_id not in models:
        fail(f"--model must be one of {', '.join(models)}", USAGE_ERROR)
    return models[model_id]
