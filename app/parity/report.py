"""What a comparison has found."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from codeserve.app.parity.model_report import ModelReport, model_report
from codeserve.app.parity.problems import Conditions, problems
from codeserve.app.parity.prompts import Prompt
from codeserve.app.parity.run import ModelRun, Refusal, Result, reference_of


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """How some models answered the same prompts."""

    conditions: Conditions
    prompts: tuple[Prompt, ...]
    left_out: tuple[int, ...]
    """Numbers of the prompts of a kind that the reference was not trained for."""
    models: tuple[ModelReport, ...]
    problems: tuple[str, ...]
    """What should not be, the worst first; none: the models agree as far as was asked for."""


def report(
    conditions: Conditions, prompts: Sequence[Prompt], runs: Sequence[ModelRun], *, strict: bool
) -> ParityReport:
    """What ``runs`` have found. ``strict``: a prompt of a kind that the reference was not trained
    for is a problem; else it is left out."""
    reference = reference_of(runs)
    left_out = () if reference is None or strict else tuple(_unsuited(reference.results))
    models = tuple(model_report(run, reference, prompts, left_out) for run in runs)
    return ParityReport(
        conditions=conditions,
        prompts=tuple(prompts),
        left_out=left_out,
        models=models,
        problems=tuple(problems(conditions, models)),
    )


def _unsuited(results: Iterable[Result | None]) -> Iterator[int]:
    for number, result in enumerate(results, 1):
        if isinstance(result, Refusal) and result.unsuited:
            yield number
