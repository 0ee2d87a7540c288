"""``codeserve engines``: the Python environments that engines run in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR, fail

if TYPE_CHECKING:
    from codeserve.app.cli.install_progress import InstallDisplay
    from codeserve.app.environments.engines import Engines
    from codeserve.app.environments.environment import Environment, Marker
    from codeserve.app.environments.installer import InstallError
    from codeserve.app.environments.needs import Build

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[
    Path | None, typer.Option(help="Config file (TOML) whose `engines` names the folder.")
]
Name = Annotated[str, typer.Argument(help="vllm or transformers.")]

engines_app = typer.Typer(help="Install the engines that have Python environments of their own.")


@engines_app.command("list")
def list_engines(config: Config = None, as_json: AsJson = False) -> None:
    """Show which engines are installed, where, and what they compute on."""
    from rich.console import Console
    from rich.table import Table

    from codeserve.app.environments.report import engine_reports

    reports = engine_reports(_engines(config))
    if as_json:
        _print_json(reports)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("engine", "state", "version", "build", "size", "where"):
        table.add_column(column, no_wrap=column != "where", overflow="fold")
    for report in reports:
        where = report.location or (
            "with the server" if report.version else f"install it: {report.install}"
        )
        size = "" if report.bytes is None else f"{report.bytes / 1e9:.1f} GB"
        row = (report.engine, str(report.state), report.version, report.build, size, where)
        table.add_row(*(cell or "" for cell in row))
    Console().print(table)


@engines_app.command(
    "install", context_settings={"allow_extra_args": True, "ignore_unknown_options": False}
)
def install_engine(
    context: typer.Context,
    name: Name,
    build: Annotated[
        str | None,
        typer.Option(help="cpu or cuda; default: cuda where there is an NVIDIA GPU, else cpu."),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(help="Interpreter to base the environment on; default: the server's own."),
    ] = None,
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each step as a line of JSON.")
    ] = False,
) -> None:
    """Make the environment of an engine, with the packages that this release is tested with.

    What follows `--` goes to pip, such as `-- --extra-index-url URL`.
    """
    from codeserve.app.cli.install_progress import InstallDisplay
    from codeserve.app.environments.installer import InstallError, install

    engines = _engines(config)
    environment = _environment(name, engines)
    chosen = _build(environment, build, engines)
    display = InstallDisplay(name, as_json)
    if environment.is_current(chosen) and (marker := environment.marker):
        _print_installed(display, environment, marker, "is installed already")
        return
    _announce(display, environment, chosen)
    try:
        with display:
            marker = install(
                environment, chosen, python or Path(sys.executable), context.args, display.show
            )
    except InstallError as error:
        _give_up(display, error)
    _print_installed(display, environment, marker, f"was installed in {marker.seconds:.0f} s")


@engines_app.command("remove")
def remove_engine(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Delete the environment of an engine."""
    from codeserve.app.environments.environment import State
    from codeserve.app.environments.installer import InstallError, remove

    environment = _environment(name, _engines(config))
    if environment.state is State.ABSENT:
        fail(f"{name} has no environment at {environment.folder}.", USAGE_ERROR)
    if not yes:
        typer.confirm(f"Delete {environment.folder}?", abort=True, err=True)
    try:
        remove(environment)
    except InstallError as error:
        fail(str(error))
    typer.echo(f"{environment.folder} was deleted.")


def _engines(config: Path | None) -> "Engines":
    from codeserve.app.environments.engines import Engines
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        return Engines(Settings.load(config).server.engines)
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)


def _environment(name: str, engines: "Engines") -> "Environment":
    from codeserve.app.environments.needs import INSTALLABLE, NEEDS

    if name in INSTALLABLE:
        return engines.environment(name)
    choice = " or ".join(INSTALLABLE)
    if name not in NEEDS:
        fail(f"There is no engine {name!r} to install; there are {choice}.", USAGE_ERROR)
    fail(
        f"{name} comes with the server and has no environment of its own. Where it is missing: "
        f"{NEEDS[name].install}",
        USAGE_ERROR,
    )


def _build(environment: "Environment", asked: str | None, engines: "Engines") -> "Build":
    builds = environment.needs.builds
    for device, build in builds.items():
        if device == (asked or ("cuda" if engines.has_gpu else "cpu")):
            return build
    fail(f"--build is {' or '.join(builds)}, but {asked!r} was given.", USAGE_ERROR)


def _announce(display: "InstallDisplay", environment: "Environment", build: "Build") -> None:
    from codeserve.app.disk_space import DiskSpace

    free = DiskSpace.at(environment.folder).free
    display.say(
        "start",
        f"Installing {environment.folder.name}, build {build.device}, into {environment.folder}: "
        f"about {build.disk_bytes / 1e9:.1f} GB of {free / 1e9:.1f} GB free.",
        folder=str(environment.folder),
        build=build.device,
        disk_bytes=build.disk_bytes,
        free_bytes=free,
    )


def _print_installed(
    display: "InstallDisplay", environment: "Environment", marker: "Marker", how: str
) -> None:
    name = environment.folder.name
    version = environment.packages.version(*environment.needs.distributions)
    display.say(
        "installed",
        f"{name} {version} {how}: build {marker.build}, {marker.bytes / 1e9:.1f} GB in "
        f"{environment.folder}.",
        folder=str(environment.folder),
        build=marker.build,
        version=version,
        bytes=marker.bytes,
        seconds=marker.seconds,
    )


def _give_up(display: "InstallDisplay", error: "InstallError") -> NoReturn:
    if display.as_json:
        display.say("failed", str(error), lines=list(error.lines))
        raise typer.Exit(RUNTIME_ERROR)
    for line in error.lines:
        typer.echo(line, err=True)
    fail(str(error))


def _print_json(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
