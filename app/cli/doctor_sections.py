"""The sections that ``codeserve doctor`` prints."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codeserve.app.cli.doctor_engines import gpu_line

if TYPE_CHECKING:
    from rich.console import Console

GIGABYTE = 1e9


def installation_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """The releases, and the folders of what was measured."""
    caches = {
        f"cache {number}": f"{cache['path']} ({cache['bytes'] / 1e6:.1f} MB)"
        for number, cache in enumerate(report["caches"], 1)
    }
    return {
        "codeserve": report["codeserve"],
        "Python": report["python"],
        **caches,
    }


def machine_lines(machine: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What there is to compute with."""
    limits = (f"{name} {value}" for name, value in machine["container_limits"].items())
    return {
        "CPU": machine["cpu"],
        "usable cores": str(machine["cores"]),
        "memory": f"{machine['memory_bytes'] / GIGABYTE:.1f} GB",
        "container limits": ", ".join(limits) or "none",
        "vector extensions": ", ".join(machine["vector_extensions"]) or "none",
        "NVIDIA GPUs": ", ".join(map(gpu_line, gpus)) or "none",
    }


def build_lines(build: Mapping[str, Any]) -> dict[str, str]:
    """How llama.cpp was built."""
    return {
        "version": build["version"],
        "built for": build["recipe"] or "unknown: not built by this project's set-up",
        "GPU support": "yes" if build["gpu"] else "no",
        "GCC's AMX defect": "worked around" if build["amx_fix"] else "unknown",
        "kernels": ", ".join(build["features"]),
    }


def print_tuning(remembered: Mapping[str, Any], console: "Console") -> None:
    """Print what was measured for one file."""
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
    print_pairs(remembered["path"], lines, console)


def print_pairs(title: str, lines: Mapping[str, str], console: "Console") -> None:
    """Print a section: a title and a line for each pair."""
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
