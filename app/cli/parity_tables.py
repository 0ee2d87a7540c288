"""What ``codeserve parity`` shows: a table, and the tokens around each parting."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from codeserve.app.parity.comparison import BYTES, Likelihood, Parting, Rival
from codeserve.app.parity.model_report import ModelReport, PromptResult, Row
from codeserve.app.parity.report import ParityReport


def show(report: ParityReport, console: Console) -> None:
    """Print everything that a reader wants to know."""
    console.print(_models(report))
    console.print(_table(report))
    console.print()
    if report.left_out:
        _say(console, f"Left out, as the reference was not trained for them: {_kinds(report)}.\n")
    for model in report.models:
        for prompt in model.prompts:
            if prompt.comparison is not None and prompt.comparison.parting is not None:
                _show_parting(report, model, prompt, prompt.comparison.parting, console)
    for problem in report.problems:
        _say(console, problem, mark="wrong")
    for model in report.models:
        for line in model.log_tail if model.error is not None else ():
            _say(console, f"  {line}")
    if not report.problems:
        _say(console, _praise(report))


def _praise(report: ParityReport) -> str:
    if report.conditions.tolerance is None:
        return "Nothing failed; --tolerance sets how far log-probabilities may differ."
    return f"Log-probabilities differ by no more than {report.conditions.tolerance:g}."


def _models(report: ParityReport) -> Table:
    table = Table("", "model", "engine", "device", box=SIMPLE_HEAD, pad_edge=False)
    for number, model in enumerate(report.models, 1):
        name = Text(model.name + (" (the reference)" if model.is_reference else ""))
        engine = f"{model.engine} {model.engine_version}" if model.engine else "not loaded"
        table.add_row(str(number), name, Text(engine), Text(model.device or ""))
    return table


def _table(report: ParityReport) -> Table:
    titles = ["same\nids", "same\ntext", "parts\nat", "max\n|Δ|", "mean\n|Δ|", "KL", "same\ntop"]
    if report.conditions.seed is not None:
        titles.append("seed\nsame")
    table = Table(
        Column("", no_wrap=True),
        Column("prompts", no_wrap=True),
        *(Column(title, justify="right", no_wrap=True) for title in titles),
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for number, model in enumerate(report.models, 1):
        for row in model.rows:
            table.add_row(str(number), *_cells(row))
    return table


def _cells(row: Row) -> Sequence[str]:
    cells = (
        row.kind,
        f"{row.same_prompt_ids}/{row.prompts}",
        f"{row.same_text}/{row.prompts}",
        "-" if row.first_parting is None else str(row.first_parting),
        _number(row.max_difference),
        _number(row.mean_difference),
        _number(row.mean_divergence),
        f"{row.same_likeliest:.1%}",
    )
    return cells if row.seed_repeats is None else (*cells, f"{row.seed_repeats}/{row.prompts}")


def _kinds(report: ParityReport) -> str:
    kinds = [report.prompts[number - 1].kind for number in report.left_out]
    return " and ".join(f"{kinds.count(kind)} {kind} prompts" for kind in dict.fromkeys(kinds))


def _show_parting(
    report: ParityReport,
    model: ModelReport,
    prompt: PromptResult,
    parting: Parting,
    console: Console,
) -> None:
    _say(
        console,
        f"{model.name}: prompt {prompt.prompt} ({prompt.kind}) parts at token "
        f"{parting.position}, {_verdict(parting, report.conditions.near_tie)}",
    )
    tokens = Table.grid(padding=(0, 2))
    tokens.add_row("  both", Text(_tokens(parting.before) or "(the start)"))
    tokens.add_row("  reference", Text(_tokens(parting.reference_goes_on) or "(the end)"))
    tokens.add_row("  model", Text(_tokens(parting.model_goes_on) or "(the end)"))
    console.print(tokens)
    if parting.choices is not None:
        console.print(_logprobs(parting.choices))
    console.print()


def _logprobs(choices: Sequence[Rival]) -> Table:
    """What both models think of both tokens."""
    right = [Column(title, justify="right") for title in ("reference", "model")]
    table = Table("  logprob of", *right, box=None, pad_edge=False, header_style="")
    for rival in choices:
        cells = (_likelihood(rival.reference), _likelihood(rival.model))
        table.add_row(Text(f"  {_quoted(rival.token)}"), *cells)
    return table


def _verdict(parting: Parting, near_tie: float) -> str:
    if parting.margin is None:
        return "where one of them ends and the other does not"
    verdict = "a near-tie" if parting.is_near_tie(near_tie) else "no near-tie"
    return f"{verdict}: margin {'at least ' if parting.is_bound else ''}{_number(parting.margin)}"


def _likelihood(likelihood: Likelihood) -> str:
    return f"{'≤ ' if likelihood.at_most else ''}{likelihood.logprob:.4f}"


def _tokens(tokens: Sequence[str]) -> str:
    return " ".join(map(_quoted, tokens))


def _quoted(token: str) -> str:
    """The token in quotes, so that spaces and line feeds can be seen; bytes as they are named."""
    return token if token.startswith(BYTES) else repr(token)


def _number(value: float) -> str:
    return f"{value:.2g}"


def _say(console: Console, text: str, mark: str = "") -> None:
    """Print ``text`` as it is, after a ``mark`` that catches the eye."""
    line = Text.assemble((f"{mark}  " if mark else "", "red"), text)
    console.print(line, highlight=False, soft_wrap=True)
