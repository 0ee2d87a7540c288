"""What ``codeserve bench`` shows: a table that lives while it runs, and one of the results."""

from collections.abc import Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from codeserve.app.bench.record import Outcome
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
    table = Table("workload", "round", "running", "tok/s", "TTFT p50, s", box=SIMPLE_HEAD)
    for scenario in bench.scenarios:
        rounds = [one for one in bench.measured if one.scenario == scenario.name]
        now = bench.scenario is scenario and len(rounds) < bench.rounds
        cells = _running_cells(bench) if now else _measured_cells(rounds)
        table.add_row(scenario.name, f"{len(rounds)}/{bench.rounds}", *cells)
    return table


def result_table(result: BenchResult) -> Table:
    """The medians over the rounds."""
    table = Table(
        Column("workload", no_wrap=True),
        "TTFT, s\np50/p95",
        "token gap, ms\np50/p99",
        "tok/s\neach/all",
        "all\ndone, s",
        "prompt\ncached",
        "requests\ndone",
        title=f"{result.model} at {result.url}, rounds: {result.rounds}, seed {result.seed}",
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for scenario in result.scenarios:
        table.add_row(scenario.name, *_result_cells(scenario))
    return table


def own_figures(result: BenchResult) -> Table:
    """The medians of the figures that only some workloads have."""
    table = Table.grid(padding=(0, 2))
    for scenario in result.scenarios:
        for name, (label, unit) in LABELS.items():
            if name in scenario.medians:
                table.add_row(scenario.name, label, f"{_number(scenario.medians[name])} {unit}")
    return table


def _running_cells(bench: Bench) -> Sequence[str]:
    """Of what has been sent so far."""
    records = bench.load.records() if bench.load else []
    if not records:
        return ("0", "-", "-")
    running = sum(record.outcome is Outcome.RUNNING for record in records)
    tokens = sum(record.output_tokens for record in records)
    seconds = max(record.ended for record in records) - min(record.sent for record in records)
    first = ttfts(records)
    return (
        str(running),
        _number(tokens / seconds if seconds else None),
        _number(median(first) if first else None),
    )


def _measured_cells(rounds: Sequence[Measurement]) -> Sequence[str]:
    """Of the last round."""
    figures = rounds[-1].figures if rounds else {}
    return ("", _number(figures.get("total_rate")), _number(figures.get("ttft_p50")))


def _result_cells(scenario: ScenarioResult) -> Sequence[str]:
    figures = scenario.medians
    gaps = (figures.get(name) for name in ("gap_p50", "gap_p99"))
    sent = scenario.completed + scenario.cancelled + scenario.failed
    return (
        _pair(figures.get("ttft_p50"), figures.get("ttft_p95")),
        _pair(*(None if gap is None else gap * 1000 for gap in gaps)),
        _pair(figures.get("stream_rate"), figures.get("total_rate")),
        _number(figures.get("all_done")),
        _cached(figures),
        f"{scenario.completed} of {sent}",
    )


def _cached(figures: Figures) -> str:
    """The share of the prompts' tokens that the server found in its cache."""
    if "cached_tokens" not in figures or not figures.get("prompt_tokens"):
        return "-"
    return f"{figures['cached_tokens'] / figures['prompt_tokens']:.0%}"


def _pair(first: float | None, second: float | None) -> str:
    return f"{_number(first)}/{_number(second)}"


def _number(value: float | None) -> str:
    """Three digits, or whole."""
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
