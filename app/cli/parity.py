"""``codeserve parity``: ask several models the same and show where they part."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR, fail

if TYPE_CHECKING:
    from codeserve.app.parity.models import Candidate
    from codeserve.app.parity.problems import Conditions
    from codeserve.app.parity.prompts import Prompt
    from codeserve.app.parity.run import ModelRun
    from codeserve.app.server_settings import ServerSettings


def parity(
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="Models to compare, separated by commas or each with a --models of its own: "
            "[ENGINE=]REFERENCE, where REFERENCE is what serve --model takes, such as "
            "vllm=/models/coder; with --config, ids of its models, by default all. The first one "
            "is the reference.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Config file (TOML) that says what the models are.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help='Prompts of your own, as JSON lines: {"prompt"}, {"prefix", "suffix"} or '
            '{"messages"}.'
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each continuation.")] = 64,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Exit with 1 where log-probabilities differ by more than this.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Sample each prompt with this seed, too, twice: the tokens must be the same.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Ask several models the same prompts, and show where they part and by how much.

    The exit code is 1 if a model or a prompt fails, prompts become other token ids, a seed does
    not repeat, or the tolerance is exceeded.
    """
    import msgspec
    from rich.console import Console

    from codeserve.app.cli.parity_tables import show
    from codeserve.app.parity.problems import Conditions
    from codeserve.app.parity.report import report

    server, candidates = _candidates(models or [], config)
    if len(candidates) < 2 and seed is None:
        fail("a comparison needs two models; --seed can check one alone", USAGE_ERROR)
    conditions = Conditions(max_tokens=max_tokens, seed=seed, tolerance=tolerance)
    asked = _prompts(prompts)
    runs = asyncio.run(_run(server, candidates, asked, conditions))
    found = report(conditions, asked, runs, strict=prompts is not None)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        show(found, Console())
    if found.problems:
        raise typer.Exit(RUNTIME_ERROR)


def _candidates(
    models: list[str], config: Path | None
) -> tuple["ServerSettings", tuple["Candidate", ...]]:
    from codeserve.app.parity.models import candidates, configured
    from codeserve.app.setting_problems import SettingsError
    from codeserve.app.settings import Settings

    names = [name for names in models for name in names.split(",") if name]
    try:
        settings = Settings.load(config)
        found = candidates(names) if config is None else configured(settings, names)
    except SettingsError as error:
        fail(str(error), USAGE_ERROR)
    return settings.server, found


def _prompts(file: Path | None) -> tuple["Prompt", ...]:
    from codeserve.app.parity.prompts import PromptsError, read_prompts, shipped_prompts

    try:
        return shipped_prompts() if file is None else read_prompts(file)
    except PromptsError as error:
        fail(str(error), USAGE_ERROR)


async def _run(
    server: "ServerSettings",
    candidates: tuple["Candidate", ...],
    prompts: tuple["Prompt", ...],
    conditions: "Conditions",
) -> list["ModelRun"]:
    """Run the models in workers of this process, as the server does."""
    from rich.console import Console

    from codeserve.app.logs import configure_logs
    from codeserve.app.manager.launcher import LocalLauncher
    from codeserve.app.manager.manager import ModelManager
    from codeserve.app.parity.run import Parity
    from codeserve.app.registrations import load_catalog
    from codeserve.model_specs.errors import SpecError

    configure_logs(level="critical")  # What goes wrong with a model is part of the report.
    try:
        catalog = load_catalog(server)
    except SpecError as error:
        fail(str(error), USAGE_ERROR)
    manager = ModelManager(server, LocalLauncher(), catalog)
    comparison = Parity(manager, prompts, conditions.max_tokens, conditions.seed)
    try:
        with Console(stderr=True).status("Starting") as status:
            return await comparison.run(candidates, lambda doing: status.update(doing))
    finally:
        await manager.stop()
