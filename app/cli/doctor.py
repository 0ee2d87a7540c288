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

from codeserve.app.cli.doctor_engines import (
    engine_findings,
    engine_lines,
    engines_report,
    gpu_line,
)
from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR, fail
from codeserve.app.manager.exit_reason import exit_reason

if TYPE_CHECKING:
    from rich.console import Console

    from codeserve.app.settings import Settings

GIGABYTE = 1e9


def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            help="Show this model's tunings only: NAME[:SIZE][:QUANTIZATION] or the path of a "
            ".gguf file; it is not downloaded."
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the model of --model again first.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="Config file (TOML): its models' own interpreters are looked at too."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show machine, engines, builds, caches and measured settings, and what is wrong or slow.

    The exit code is 1 if something will not work.
    """
    from rich.console import Console

    if measure and model is None:
        fail("--measure needs --model, the model to measure.", USAGE_ERROR)
    settings = _settings(config)
    path = None if model is None else _local_path(model, settings)
    console = Console()
    with Console(stderr=True).status("Measuring" if measure else "Looking"):
        llama_cpp = _llama_cpp_report(path if measure else None)
        report = {**_installation(), **llama_cpp, **engines_report(settings)}
        report["findings"] = [*llama_cpp["findings"], *engine_findings(report)]
    if path is not None:
        report["tunings"] = [one for one in report["tunings"] if one["path"] == str(path)]
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report, console)
    if any(finding["broken"] for finding in report["findings"]):
        raise typer.Exit(RUNTIME_ERROR)


def _settings(config: Path | None) -> "Settings":
    from codeserve.app.settings import Settings, SettingsError

    try:
        return Settings.load(config)
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)


def _local_path(reference: str, settings: "Settings") -> Path:
    """The file that ``--model`` means, if it is on this machine."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # Read when the hub's client is imported, which is below.
    from codeserve.app.environments.engines import Engines
    from codeserve.app.manager.resolution import resolve
    from codeserve.app.settings import ModelSettings, SettingsError
    from codeserve.engines.errors import ServingError
    from codeserve.model_specs.catalog import Catalog
    from codeserve.model_specs.errors import PullError, SpecError
    from codeserve.model_specs.hub.store import fetch

    try:
        server = settings.server
        catalog = Catalog.load(*([server.families] if server.families else []))
        model = ModelSettings.from_reference(reference, "llama.cpp")
        found = resolve(model, catalog, Engines(server.engines))
        if found.selection is None:
            return found.local_path()
        spec, quantization = found.selection.spec, found.selection.quantization
        return fetch(spec, quantization, lambda done, total: None).absolute()
    except (SettingsError, SpecError) as error:
        fail(str(error), USAGE_ERROR)
    except ServingError as error:
        fail(error.message, USAGE_ERROR)
    except PullError:
        fail(f"{reference} is not on this machine: serve it once, or give a path.", USAGE_ERROR)


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
    _print_pairs("Installation", _installation_lines(report), console)
    if report["machine"]:
        _print_pairs("Machine", _machine_lines(report["machine"], report["gpus"]), console)
    _print_pairs("Engines", engine_lines(report), console)
    if report["llama_cpp"]:
        _print_pairs("llama.cpp", _build_lines(report["llama_cpp"]), console)
    for tuning in report["tunings"]:
        _print_tuning(tuning, console)
    console.print("\n[bold]Verdict[/bold]")
    for finding in report["findings"]:
        mark = "[red]broken[/red]" if finding["broken"] else "[yellow]advice[/yellow]"
        console.print(f"  {mark}  ", end="")
        console.print(f"{finding['what']} {finding['remedy']}", markup=False, highlight=False)
    if not report["findings"]:
        console.print("  Nothing is wrong.")


def _installation_lines(report: Mapping[str, Any]) -> dict[str, str]:
    caches = {
        f"cache {number}": f"{cache['path']} ({cache['bytes'] / 1e6:.1f} MB)"
        for number, cache in enumerate(report["caches"], 1)
    }
    return {
        "codeserve": report["codeserve"],
        "Python": report["python"],
        **caches,
    }


def _machine_lines(machine: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    limits = (f"{name} {value}" for name, value in machine["container_limits"].items())
    return {
        "CPU": machine["cpu"],
        "usable cores": str(machine["cores"]),
        "memory": f"{machine['memory_bytes'] / GIGABYTE:.1f} GB",
        "container limits": ", ".join(limits) or "none",
        "vector extensions": ", ".join(machine["vector_extensions"]) or "none",
        "NVIDIA GPUs": ", ".join(map(gpu_line, gpus)) or "none",
    }


def _build_lines(build: Mapping[str, Any]) -> dict[str, str]:
    return {
        "version": build["version"],
        "built for": build["recipe"] or "unknown: not built by this project's set-up",
        "GPU support": "yes" if build["gpu"] else "no",
        "GCC's AMX defect": "worked around" if build["amx_fix"] else "unknown",
        "kernels": ", ".join(build["features"]),
    }


def _print_tuning(remembered: Mapping[str, Any], console: "Console") -> None:
    tuning = remembered["tuning"]
    names = ("n_threads", "n_threads_batch", "flash_attn", "type_k", "type_v", "n_ubatch", "repack")
    steps = (f"{tokens}: {ms:.1f}" for tokens, ms in tuning["step_ms"])
    given = (f"{name} = {value}" for name, value in remembered["options"].items())
    beaten = (
        f"{trial['option']} = {trial['value']} ({trial['cost']:.2f})"
        for trial in tuning["trials"]
        if not trial["chosen"]
    )
    lines = {
        "measured": f"{tuning['measured_at'][:19]}, in {tuning['seconds']:.0f} s"
        + ("" if remembered["current"] else "; file, machine or build have changed since"),
        "given": ", ".join(given) or "nothing",
        "chosen": ", ".join(f"{name} = {json.dumps(tuning[name])}" for name in names),
        "beaten": ", ".join(beaten) or "nothing",
        "tokens: ms a step": ", ".join(steps) or "not measured",
        **{"not measured" if n == 0 else " " * n: s for n, s in enumerate(tuning["skipped"])},
    }
    _print_pairs(remembered["path"], lines, console)


def _print_pairs(title: str, lines: Mapping[str, str], console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(name, Text(value))
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)
