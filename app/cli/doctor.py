"""``codeserve doctor``: what this installation is, what was measured, and what could be better."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeserve.app.cli.doctor_engines import engine_findings, engine_lines, engines_report
from codeserve.app.cli.doctor_hubs import hub_findings, hub_lines, hubs_report, is_offline
from codeserve.app.cli.doctor_sections import (
    build_lines,
    installation_lines,
    machine_lines,
    print_pairs,
    print_tuning,
)
from codeserve.app.cli.doctor_store import store_findings, store_lines, store_report
from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR, fail
from codeserve.app.manager.exit_reason import exit_reason

if TYPE_CHECKING:
    from rich.console import Console

    from codeserve.app.cli.library import Library
    from codeserve.app.settings import Settings


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            help="Show the configuration and the tunings of this model only: "
            "NAME[:SIZE][:QUANTIZATION] or the path of a .gguf file; it is not downloaded."
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the model of --model again first.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Config file (TOML) that the server is started with."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show machine, engines, builds, hubs, weights, configuration and measured settings, and
    what is wrong or slow.

    The exit code is 1 if something will not work.
    """
    from rich.console import Console

    from codeserve.app.cli.doctor_settings import settings_report
    from codeserve.app.cli.library import Library

    if measure and model is None:
        fail("--measure needs --model, the model to measure.", USAGE_ERROR)
    settings = _settings(config, model)
    library = Library.open(config)
    path = None if model is None else _local_path(model, library)
    console = Console()
    with Console(stderr=True).status("Measuring" if measure else "Looking"):
        llama_cpp = _llama_cpp_report(path if measure else None)
        report = {
            **_installation(),
            **llama_cpp,
            **engines_report(settings),
            **hubs_report(is_offline(settings.server.offline)),
            **store_report(library),
            "configuration": settings_report(settings, config, given=model is not None),
        }
    report["findings"] = [
        *llama_cpp["findings"],
        *engine_findings(report),
        *hub_findings(report),
        *store_findings(report),
    ]
    if path is not None:
        report["tunings"] = [one for one in report["tunings"] if one["path"] == str(path)]
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report, console)
    if any(finding["broken"] for finding in report["findings"]):
        raise typer.Exit(RUNTIME_ERROR)


def _settings(config: Path | None, model: str | None) -> "Settings":
    """What `serve` with these options would do."""
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    try:
        return Settings.load(config).override({}, [] if model is None else [model])
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)


def _local_path(reference: str, library: "Library") -> Path:
    """The file that ``--model`` means, if it is on this machine."""
    from codeserve.app.environments.engines import Engines
    from codeserve.app.manager.resolution import resolve
    from codeserve.app.model_settings import ModelSettings
    from codeserve.app.setting_problems import SettingsError
    from codeserve.engines.errors import ServingError
    from codeserve.model_specs.hub.artifact import artifacts

    try:
        model = ModelSettings.from_reference(reference, "llama.cpp")
        found = resolve(model, library.catalog, Engines(library.server.engines))
        if found.selection is None:
            return found.local_path()
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    except ServingError as error:
        fail(error.message, USAGE_ERROR)
    stored = library.store.find(artifacts(found.selection.spec, found.selection.quantization))
    if stored is None:
        fail(f"{reference} is not on this machine: `codeserve pull` fetches it.", USAGE_ERROR)
    return stored.path.absolute()


def _llama_cpp_report(measured: Path | None) -> dict[str, Any]:
    """What llama.cpp's own process says; it is not imported here."""
    command = [sys.executable, "-P", "-m", "codeserve.engines.llama_cpp.report"]
    if measured is not None:
        command += ["--measure", str(measured)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        if done.stderr:
            typer.echo(done.stderr.rstrip(), err=True)
        report: dict[str, Any] = json.loads(done.stdout)
        return report
    said = done.stderr.strip().splitlines() if done.returncode > 0 else []
    reason = said[-1].rstrip(".") if said else exit_reason(done.returncode)
    if measured is not None:
        fail(f"{measured} could not be measured: {reason}.")
    crash = {
        "broken": True,
        "what": f"llama.cpp's library does not work here: {reason}.",
        "remedy": "Build it anew with `make clean serve`.",
    }
    return {"machine": None, "llama_cpp": None, "tunings": [], "findings": [crash]}


def _installation() -> dict[str, Any]:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codeserve"
    folders = {folder.name: folder for folder in sorted(base.glob("*")) if folder.is_dir()}
    return {
        "codeserve": version("codeserve"),
        "python": platform.python_version(),
        "caches": [{"path": str(path), "bytes": _size(path)} for path in folders.values()],
    }


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _print(report: Mapping[str, Any], console: "Console") -> None:
    from codeserve.app.cli.doctor_settings import settings_lines

    print_pairs("Installation", installation_lines(report), console)
    if report["machine"]:
        print_pairs("Machine", machine_lines(report["machine"], report["gpus"]), console)
    print_pairs("Engines", engine_lines(report), console)
    if report["llama_cpp"]:
        print_pairs("llama.cpp", build_lines(report["llama_cpp"]), console)
    print_pairs("Hubs", hub_lines(report), console)
    print_pairs("Weights", store_lines(report), console)
    print_pairs("[server]", settings_lines(report["configuration"]["server"]), console)
    for model in report["configuration"]["models"]:
        print_pairs(f"[[models]] {model['id']['value']}", settings_lines(model), console)
    for tuning in report["tunings"]:
        print_tuning(tuning, console)
    _print_verdict(report["findings"], console)


def _print_verdict(findings: Sequence[Mapping[str, Any]], console: "Console") -> None:
    console.print("\n[bold]Verdict[/bold]")
    for finding in findings:
        mark = "[red]broken[/red]" if finding["broken"] else "[yellow]advice[/yellow]"
        console.print(f"  {mark}  ", end="")
        console.print(f"{finding['what']} {finding['remedy']}", markup=False, highlight=False)
    if not findings:
        console.print("  Nothing is wrong.")
