"""What was found of one model, for tables and JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import msgspec

from codeserve.app.api.generation.logprobs import finite
from codeserve.app.parity.comparison import (
    Comparison,
    PromptDifference,
    compare,
    prompt_difference,
    with_itself,
)
from codeserve.app.parity.continuation import Continuation
from codeserve.app.parity.prompts import Prompt, PromptKind
from codeserve.app.parity.run import ModelRun, Refusal, Result
from codeserve.engines.types import TokenLogprobs


class PromptResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model and one prompt."""

    prompt: int
    """Its number, from 1."""
    kind: PromptKind
    error: str | None = None
    """Why the model did not take it, or could not read the reference's continuation; then there is
    no comparison."""
    prompt_ids: tuple[int, ...] = ()
    prompt_difference: PromptDifference | None = None
    """Where they are not the reference's; None: nowhere."""
    token_ids: tuple[int, ...] = ()
    """The continuation, with the id that ended it."""
    text: str = ""
    logprobs: tuple[float, ...] = ()
    """Of ``token_ids``."""
    reference_logprobs: tuple[float, ...] = ()
    """Of the reference's ``token_ids``, read as a prompt."""
    seed_repeats: bool | None = None
    comparison: Comparison | None = None
    """With the reference; of the reference, its reading of its own tokens with their making."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model and all prompts of one kind."""

    kind: PromptKind
    prompts: int
    """So many were compared."""
    same_prompt_ids: int
    same_text: int
    first_parting: int | None
    """The least position of a parting; None: there is none."""
    max_difference: float
    """Of the log-probabilities of the reference's tokens; absolute, as is the mean."""
    mean_difference: float
    mean_divergence: float
    same_likeliest: float
    """Share of the reference's tokens in whose place both hold the same token the likeliest."""
    seed_repeats: int | None
    """None: not tried."""


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    name: str
    is_reference: bool
    engine: str | None = None
    """This and what follows is None where the model was not loaded."""
    engine_version: str | None = None
    device: str | None = None
    settings: Mapping[str, Any] | None = None
    error: str | None = None
    log_tail: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    prompts: tuple[PromptResult, ...] = ()


def model_report(
    run: ModelRun,
    reference: ModelRun | None,
    prompts: Sequence[Prompt],
    left_out: Sequence[int],
) -> ModelReport:
    """What ``run`` has found, compared with ``reference``; ``left_out``: numbers of prompts of
    which nothing is told."""
    if reference is None or run.error is not None:
        reports: tuple[PromptResult, ...] = ()
    else:
        reports = tuple(
            _prompt(number, prompt.kind, result, reference.results[number - 1])
            for number, (prompt, result) in enumerate(zip(prompts, run.results, strict=True), 1)
            if result is not None and number not in left_out
        )
    about: dict[str, Any] = {}
    if run.info is not None:
        names = ("engine", "engine_version", "device", "settings")
        about = {name: getattr(run.info, name) for name in names}
    return ModelReport(
        name=run.name,
        is_reference=run is reference,
        **about,
        error=run.error,
        log_tail=run.log_tail,
        rows=tuple(_rows(reports)),
        prompts=reports,
    )


def _prompt(
    number: int, kind: PromptKind, result: Result, reference: Result | None
) -> PromptResult:
    if isinstance(result, Refusal):
        return PromptResult(prompt=number, kind=kind, error=result.reason)
    assert isinstance(reference, Continuation), "what the reference refuses nobody is asked"
    return PromptResult(
        prompt=number,
        kind=kind,
        error=result.unread,
        prompt_ids=result.prompt.token_ids,
        prompt_difference=prompt_difference(reference.prompt, result.prompt),
        token_ids=result.own_ids,
        text=result.text,
        logprobs=_logprobs(result.tokens),
        reference_logprobs=_logprobs(result.reading),
        seed_repeats=result.seed_repeats,
        comparison=_comparison(reference, result),
    )


def _comparison(reference: Continuation, result: Continuation) -> Comparison | None:
    if result.unread is not None:
        return None
    return with_itself(result) if result is reference else compare(reference, result)


def _logprobs(tokens: Iterable[TokenLogprobs]) -> tuple[float, ...]:
    return tuple(finite(token.chosen.logprob) for token in tokens)


def _rows(reports: Sequence[PromptResult]) -> Iterator[Row]:
    for kind in PromptKind:
        compared = [one for one in reports if one.kind is kind and one.comparison is not None]
        if compared:
            yield _row(kind, compared)


def _row(kind: PromptKind, prompts: Sequence[PromptResult]) -> Row:
    compared = [one.comparison for one in prompts if one.comparison is not None]
    partings = [one.parting for one in compared if one.parting is not None]
    differences = [abs(value) for one in compared for value in one.differences]
    divergences = [value for one in compared for value in one.divergences]
    repeats = [one.seed_repeats for one in prompts if one.seed_repeats is not None]
    return Row(
        kind=kind,
        prompts=len(prompts),
        same_prompt_ids=sum(one.prompt_difference is None for one in prompts),
        same_text=len(prompts) - len(partings),
        first_parting=min((one.position for one in partings), default=None),
        max_difference=max(differences),
        mean_difference=fmean(differences),
        mean_divergence=fmean(divergences),
        same_likeliest=sum(one.same_likeliest for one in compared) / len(differences),
        seed_repeats=sum(repeats) if repeats else None,
    )
