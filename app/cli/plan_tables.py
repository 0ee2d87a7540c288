"""A plan as tables for people."""

from collections.abc import Iterable, Mapping

import typer
from rich.console import Console
from rich.table import Table

from codeserve.app.memory.plan import Plan, QuantizationPlan
from codeserve.app.memory.refusal import gigabytes, pool_name


def print_plan(plan: Plan) -> None:
    """What is needed, what there is, and which quantisations fit."""
    typer.echo(_title(plan))
    need = plan.requirement
    if plan.total_bytes is None:
        typer.echo("What it needs cannot be known before it is loaded.")
        return
    source = "by the files" if plan.weights != "catalogue" else "published" * plan.exact
    rows = [
        ("weights", need.weights_bytes, source or "estimated"),
        ("KV cache", need.kv_bytes, f"{plan.max_concurrency} x {need.context_length} tokens"),
        ("overhead", need.overhead_bytes, "buffers of a step, process and libraries"),
        ("measured", need.measured_bytes, "when it was last loaded so; trusted"),
        ("in all", plan.total_bytes, _replicas(plan)),
    ]
    _print(
        ("", "", ""),
        [(name, gigabytes(size), note) for name, size, note in rows if size is not None],
    )
    typer.echo()
    _print(
        ("pool", "needed", "for models", "free now"),
        [
            (pool_name(pool), gigabytes(size), _size(plan.limits, pool), _size(plan.free, pool))
            for pool, size in plan.needs.items()
        ],
    )
    typer.echo()
    if plan.refusal is None:
        typer.echo(f"It fits, with up to {plan.longest_context} tokens per request.")
    else:
        typer.echo(plan.refusal)
    if plan.quantizations:
        typer.echo()
        _print_quantizations(plan)


def _title(plan: Plan) -> str:
    gpus = plan.requirement.gpus
    where = f"GPU {', '.join(map(str, gpus))}" if gpus else "the CPU"
    missing = "" if plan.installed else " (not installed)"
    return f"{plan.id} on {plan.engine}{missing}, {where}"


def _replicas(plan: Plan) -> str:
    return f"each of {plan.replicas} replicas" if plan.replicas > 1 else ""


def _size(sizes: Mapping[str, int], pool: str) -> str:
    return gigabytes(sizes[pool]) if pool in sizes else "unknown"


def _print_quantizations(plan: Plan) -> None:
    columns = ("quantization", "weights", "1 x 8192", "in all", "for", "fits", "longest context")
    _print(columns, [_row(row, plan) for row in plan.quantizations])
    typer.echo(
        "~ is estimated. The columns in the middle are all that it takes, by requests x tokens."
    )


def _row(row: QuantizationPlan, plan: Plan) -> tuple[str, ...]:
    return (
        row.quantization,
        f"{'' if row.exact else '~'}{gigabytes(row.weights_bytes)}",
        gigabytes(row.small_context_bytes),
        gigabytes(row.total_bytes),
        f"{plan.max_concurrency} x {row.context_length}",
        "yes" if row.fits else f"no, {gigabytes(row.missing_bytes)} missing",
        str(row.longest_context or "none"),
    )


def _print(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    shown = list(columns)
    table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(shown))
    for number, column in enumerate(shown):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
