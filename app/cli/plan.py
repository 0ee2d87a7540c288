"""``codeserve plan``: what loading a model would take, before it is loaded."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.launch_options import ENGINE_OPTIONS, launch_request

if TYPE_CHECKING:
    from codeserve.app.manager.resolution import Resolution
    from codeserve.app.memory.plan import Plan
    from codeserve.app.model_settings import ModelSettings
    from codeserve.app.server_settings import ServerSettings

SPEC = "model_name"
"""The option of ``launch`` that a SPEC may stand for."""


def _with_spec(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with a SPEC and every option of ``launch``; it gets the spec and the request."""
    _, _, *own = signature(command).parameters.values()
    flags = signature(launch_request).parameters

    @wraps(command)
    def run(context: typer.Context, spec: str | None, **values: Any) -> None:
        named = {name: values.pop(name) for name in flags}
        if spec is None:
            request = launch_request(**named)
        elif named[SPEC] or named["model_path"]:
            fail("name the model once: by SPEC, or by --model-name or --model-path", USAGE_ERROR)
        else:
            request = launch_request(**{**named, SPEC: spec})
        command(spec, {**request, **context.meta[ENGINE_OPTIONS]}, **values)

    context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    argument = typer.Argument(
        metavar="[SPEC]",
        help="NAME[:SIZE][:QUANTIZATION], or a .gguf file or folder; or say it by options.",
    )
    place = Parameter(
        "spec",
        Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[str | None, argument],
    )
    parameters = [context, place, *flags.values(), *own]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run


@_with_spec
def plan(
    spec: str | None,
    request: Mapping[str, Any],
    max_memory: Annotated[
        str | None,
        typer.Option(help='What all models may take together, such as "20GB".'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what a model's weights, KV cache and overhead need, and what fits this machine."""
    import msgspec

    made = _plan(_settings(spec, request), _server(max_memory))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
    else:
        from codeserve.app.cli.plan_tables import print_plan

        print_plan(made)


def _server(max_memory: str | None) -> "ServerSettings":
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    server = {} if max_memory is None else {"max_memory": max_memory}
    try:
        settings: Settings = Settings.load()
        return type(settings.server).model_validate(
            {**settings.server.model_dump(exclude_unset=True), **server}
        )
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    except ValueError:
        fail(f"--max-memory {max_memory!r} is no size such as 20GB or 512MiB", USAGE_ERROR)


def _settings(spec: str | None, request: Mapping[str, Any]) -> "ModelSettings":
    """What to load, as ``launch`` would understand it."""
    from pydantic import ValidationError

    from codeserve.app.launch_request import LaunchRequest
    from codeserve.app.model_settings import ModelSettings
    from codeserve.app.setting_problems import SettingsError
    from codeserve.engines.errors import ServingError

    try:
        if spec is None:
            return LaunchRequest.model_validate(request).settings()
        named = ModelSettings.from_reference(spec)
        given = named.model_dump(include={"model_name", "quantization"}, exclude_none=True)
        path = {} if named.path is None else {"model_path": str(named.path.absolute())}
        size = {"model_size_in_billions": named.size_in_billions}
        rest = {name: value for name, value in request.items() if name != SPEC}
        uid = {"model_uid": spec} if named.path is None else {}
        return LaunchRequest.model_validate({**uid, **size, **given, **path, **rest}).settings()
    except (SettingsError, ServingError) as error:
        fail(str(error), USAGE_ERROR)
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", USAGE_ERROR)


def _plan(settings: "ModelSettings", server: "ServerSettings") -> "Plan":
    from codeserve.app.memory.planner import Planner
    from codeserve.model_specs.errors import WeightsError

    resolution, installed = _resolution(settings, server)
    try:
        path = _path(resolution, server)
        return Planner(server).plan(resolution, path, installed=installed)
    except WeightsError as error:
        fail(str(error))


def _resolution(settings: "ModelSettings", server: "ServerSettings") -> tuple["Resolution", bool]:
    """What would be loaded and by which engine, and whether that is installed here."""
    from codeserve.app.environments.engines import Engines
    from codeserve.app.manager.resolution import resolve
    from codeserve.app.memory.anywhere import Anywhere
    from codeserve.app.registrations import load_catalog
    from codeserve.engines.errors import InvalidRequest
    from codeserve.model_specs.errors import SpecError

    engines = Engines(server.engines)
    try:
        resolution = resolve(settings, load_catalog(server), Anywhere(engines))
    except (SpecError, InvalidRequest) as error:
        fail(str(error), USAGE_ERROR)
    return resolution, engines.find(resolution.choice.engine) is not None


def _path(resolution: "Resolution", server: "ServerSettings") -> Path | None:
    """The weights, if they are on this machine."""
    from codeserve.engines.errors import ModelLoadError
    from codeserve.model_specs.hub.store import Store

    if resolution.selection is None:
        try:
            return resolution.local_path()
        except ModelLoadError as error:
            fail(str(error), USAGE_ERROR)
    stored = Store(server.store, offline=True).find(resolution.sources)
    return None if stored is None else stored.path
