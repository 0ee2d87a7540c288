"""PNG plots of a result; needs matplotlib, the ``bench`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from codeserve.app.bench.results import BenchResult, ScenarioResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SWEEP = "concurrency-"


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_plots(result: BenchResult, folder: Path) -> list[Path]:
    """Write ``ttft.png``, ``inter-token.png``, ``decode.png`` and, of a sweep, ``concurrency.png``
    into ``folder``; the paths of those that had something to show. Raises OSError."""
    sweep = [scenario for scenario in result.scenarios if scenario.name.startswith(SWEEP)]
    bars = {
        "ttft": ("Time to first token (s)", ("ttft_p50", "ttft_p95")),
        "inter-token": ("Between tokens (s)", ("gap_p50", "gap_p99", "beside_gap_p99")),
        "decode": ("Decode (tok/s)", ("stream_rate", "total_rate")),
    }
    written = [
        _write_bars(folder / f"{name}.png", result, title, figures)
        for name, (title, figures) in bars.items()
    ]
    return [*written, _write_sweep(folder / "concurrency.png", result, sweep)] if sweep else written


def _write_bars(path: Path, result: BenchResult, title: str, names: Sequence[str]) -> Path:
    """A group of bars for each scenario, one bar for each figure of ``names`` that it has."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        heights = [scenario.medians.get(name, 0.0) for scenario in result.scenarios]
        places = [place + index * width for place in range(len(heights))]
        axes.bar(places, heights, width, label=name.replace("_", " "))
    axes.set_xticks(
        [place + 0.4 - width / 2 for place in range(len(result.scenarios))],
        [scenario.name for scenario in result.scenarios],
        rotation=30,
        ha="right",
    )
    _finish(axes, result, title)
    axes.legend()
    figure.savefig(path, dpi=120)
    return path


def _write_sweep(path: Path, result: BenchResult, sweep: Sequence[ScenarioResult]) -> Path:
    """Throughput and time to first token over the number of streams."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    streams = [int(scenario.name.removeprefix(SWEEP)) for scenario in sweep]
    panels = {"total_rate": "All streams (tok/s)", "ttft_p95": "Time to first token, p95 (s)"}
    for axes, (name, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        values = [scenario.medians.get(name, float("nan")) for scenario in sweep]
        axes.plot(streams, values, marker="o")
        axes.set_xticks(streams)
        axes.set_xlabel("streams at once")
        axes.set_ylim(bottom=0)
        _finish(axes, result, title)
    figure.savefig(path, dpi=120)
    return path


def _finish(axes: Axes, result: BenchResult, title: str) -> None:
    axes.set_title(f"{title}: {result.model}")
    axes.grid(axis="y", alpha=0.3)
