"""``codeserve bench``: measure a running server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import USAGE_ERROR, fail
from codeserve.app.cli.options import DEFAULT_URL, ApiKey, ModelId, Url

if TYPE_CHECKING:
    from rich.console import Console

    from codeserve.app.bench.results import BenchResult
    from codeserve.app.bench.runner import Bench
    from codeserve.app.bench.workloads import Scenario

STDOUT = Path("-")
REFRESHES_PER_SECOND = 5


def bench(  # noqa: PLR0913 - the command's options
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            help="Which of single, concurrency, keystroke, shared-prefix, long-prefill, edit and "
            "decode; default: all of them.",
            show_default=False,
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    model: ModelId = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often to run each workload.")] = 1,
    concurrency: Annotated[
        str, typer.Option(help="Numbers of streams of the concurrency workload.")
    ] = "1,4,8,16",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Decides every prompt. A server may have the prompts of a seed it has seen in its "
            "cache; default: a new one each time.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the result as JSON to this file; -: to stdout.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Write PNG plots into this folder; needs codeserve[bench].")
    ] = None,
) -> None:
    """Measure a running server, ours or any other with OpenAI's /v1/completions."""
    import secrets

    from rich.console import Console

    scenarios = _scenarios(workloads or [], concurrency)
    _prepare(json, plots)
    seed = secrets.randbelow(2**31) if seed is None else seed
    result = asyncio.run(_measure(url, api_key, model, scenarios, rounds, seed))
    if json != STDOUT:
        from codeserve.app.cli.bench_tables import own_figures, result_table

        Console().print(result_table(result), own_figures(result))
    _write(result, json, plots)
    if result.errors:
        fail(f"requests failed: {'; '.join(result.errors)}")


def _scenarios(workloads: list[str], concurrency: str) -> tuple["Scenario", ...]:
    from codeserve.app.bench.workloads import WORKLOADS, scenarios

    for name in workloads:
        if name not in WORKLOADS:
            fail(f"no workload is called {name!r}; there are {', '.join(WORKLOADS)}", USAGE_ERROR)
    try:
        widths = [int(width) for width in concurrency.split(",")]
    except ValueError:
        widths = []
    if not widths or min(widths) < 1:
        fail(f"--concurrency takes numbers from 1, such as 1,4,8, not {concurrency!r}", USAGE_ERROR)
    return scenarios(workloads, widths)


def _prepare(json: Path | None, plots: Path | None) -> None:
    """Find out before the run whether its result can be written."""
    from codeserve.app.bench.plots import available

    if plots is not None and not available():
        fail("--plots needs matplotlib: pip install 'codeserve[bench]'", USAGE_ERROR)
    with _failing_clearly():
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
        if json is not None and json != STDOUT:
            json.touch()


async def _measure(
    url: str,
    api_key: str | None,
    model: str | None,
    scenarios: tuple["Scenario", ...],
    rounds: int,
    seed: int,
) -> "BenchResult":
    from rich.console import Console

    from codeserve.app.bench.endpoint import Endpoint, EndpointError
    from codeserve.app.bench.runner import Bench

    try:
        async with Endpoint(url, model, api_key=api_key) as endpoint:
            run = Bench(endpoint, scenarios, rounds=rounds, seed=seed)
            with _shown(run, Console(stderr=True)):
                return await run.run()
    except EndpointError as error:
        fail(str(error))


@contextmanager
def _shown(run: "Bench", console: "Console") -> Iterator[None]:
    """Show on a terminal how ``run`` goes on until the block ends."""
    from rich.live import Live

    from codeserve.app.cli.bench_tables import live_table

    if not console.is_terminal:
        yield
        return
    with Live(
        get_renderable=lambda: live_table(run),
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
    ):
        yield


def _write(result: "BenchResult", json: Path | None, plots: Path | None) -> None:
    import msgspec

    from codeserve.app.bench.plots import write_plots

    text = msgspec.json.format(msgspec.json.encode(result)).decode()
    with _failing_clearly():
        if json == STDOUT:
            typer.echo(text)
        elif json is not None:
            json.write_text(text + "\n", encoding="utf-8")
        for path in write_plots(result, plots) if plots is not None else ():
            typer.echo(f"wrote {path}", err=True)


@contextmanager
def _failing_clearly() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
