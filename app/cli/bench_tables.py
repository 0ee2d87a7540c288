"""What ``codeserve bench`` shows: a table that lives while it runs, and one of the results."""

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from codeserve.app.bench.results import BenchResult, Measurement, ScenarioResult
from codeserve.app.bench.runner import Bench
from codeserve.app.bench.statistics import Figures, ttfts

LABELS = {
    "prompt_rate": ("prompt", "tok/s"),
    "last_ttft": ("TTFT after the last key", "s"),
    "long_ttft": ("TTFT of the long prompt", "s"),
    "beside_gap_p50": ("inter-token p50 beside it", "s"),
    "beside_gap_p99": ("inter-token p99 beside it", "s"),
    "copied_share": ("copied", ""),
}
"""The figures that only some scenarios have: what to call them, and their unit."""


def live_table(bench: Bench) -> Table:
    """How far ``bench`` is, and what the server does right now."""
    table = Table("workload", "round", "running", "tok/s", "TTFT p50")
    for scenario in bench.scenarios:
        rounds = [one for one in bench.measured if one.scenario == scenario.name]
        now = bench.scenario is scenario and len(rounds) < bench.rounds
        cells = _running_cells(bench) if now else _measured_cells(rounds)
        table.add_row(scenario.name, f"{len(rounds)}/{bench.rounds}", *cells)
    return table


def result_table(result: BenchResult) -> Table:
    """The medians over the rounds."""
    table = Table(
        "workload",
        "TTFT p50 / p95",
        "inter-token p50 / p99",
        "tok/s a stream",
        "tok/s together",
        "all done",
        "cached",
        "done / cancelled / failed",
        "also",
        title=f"{result.model} at {result.url}, {result.rounds} rounds, seed {result.seed}",
    )
    for scenario in result.scenarios:
        table.add_row(scenario.name, *_result_cells(scenario))
    return table


def measured_line(measurement: Measurement) -> str:
    """One run of a scenario in one line, for a log."""
    figures = measurement.figures
    return (
        f"{measurement.scenario}: {measurement.completed} completed, "
        f"{measurement.cancelled} cancelled, {measurement.failed} failed, "
        f"{_number(figures.get('total_rate'))} tok/s, TTFT p50 {_seconds(figures.get('ttft_p50'))}"
    )


def _running_cells(bench: Bench) -> Sequence[str]:
    records = bench.load.records() if bench.load else []
    running = sum(one.running for one in bench.load.completions) if bench.load else 0
    tokens = sum(record.output_tokens for record in records)
    seconds = max((record.ended for record in records), default=0.0) - min(
        (record.sent for record in records), default=0.0
    )
    first = ttfts(records)
    return (
        str(running),
        _number(tokens / seconds if seconds > 0 else None),
        _seconds(median(first) if first else None),
    )


def _measured_cells(rounds: Sequence[Measurement]) -> Sequence[str]:
    if not rounds:
        return ("", "", "")
    figures = rounds[-1].figures
    return ("", _number(figures.get("total_rate")), _seconds(figures.get("ttft_p50")))


def _result_cells(scenario: ScenarioResult) -> Sequence[str]:
    figures = scenario.medians
    return (
        f"{_seconds(figures.get('ttft_p50'))} / {_seconds(figures.get('ttft_p95'))}",
        f"{_seconds(figures.get('gap_p50'))} / {_seconds(figures.get('gap_p99'))}",
        _number(figures.get("stream_rate")),
        _number(figures.get("total_rate")),
        _seconds(figures.get("all_done")),
        _cached(figures),
        f"{scenario.completed} / {scenario.cancelled} / {scenario.failed}",
        "\n".join(
            f"{label} {_number(figures[name])} {unit}".rstrip()
            for name, (label, unit) in LABELS.items()
            if name in figures
        ),
    )


def _cached(figures: Figures) -> str:
    """The cached tokens and their share of the prompts."""
    if "cached_tokens" not in figures or not figures.get("prompt_tokens"):
        return "-"
    cached = figures["cached_tokens"]
    return f"{cached:.0f} ({cached / figures['prompt_tokens']:.0%})"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"
