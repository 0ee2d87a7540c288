"""What should not be in a comparison."""

from collections.abc import Iterator, Sequence

import msgspec

from codeserve.app.parity.model_report import ModelReport, PromptResult

NEAR = 0.1
"""Log-probabilities that differ by so little are near, unless a tolerance says what is."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """How the models were asked and are judged."""

    max_tokens: int
    seed: int | None = None
    tolerance: float | None = None
    """The most by which log-probabilities may differ; None: any number."""

    @property
    def near_tie(self) -> float:
        """The largest margin of a parting that is a near-tie."""
        return 2 * (NEAR if self.tolerance is None else self.tolerance)


def problems(conditions: Conditions, models: Sequence[ModelReport]) -> Iterator[str]:
    """What should not be, the worst first."""
    judged = [(model, prompt) for model in models for prompt in model.prompts]
    for check in (_prompt_difference, _error, _seed):
        for model, prompt in judged:
            if found := check(prompt):
                yield f"{model.name}: prompt {prompt.prompt} ({prompt.kind}): {found}"
    for model in models:
        if model.error is not None:
            yield f"{model.name}: {model.error}"
    for model, prompt in judged:
        if not model.is_reference and (found := _beyond(prompt, conditions)):
            yield f"{model.name}: prompt {prompt.prompt} ({prompt.kind}): {found}"


def _prompt_difference(prompt: PromptResult) -> str | None:
    found = prompt.prompt_difference
    if found is None:
        return None
    ours = _token(found.reference_id, found.reference_token)
    theirs = _token(found.model_id, found.model_token)
    return (
        f"its token ids are not the reference's: at position {found.position} {theirs} instead of "
        f"{ours}"
    )


def _token(token_id: int | None, token: str | None) -> str:
    return "the end" if token_id is None else f"{token_id} ({token!r})"


def _error(prompt: PromptResult) -> str | None:
    return prompt.error


def _seed(prompt: PromptResult) -> str | None:
    return "the same seed gave other tokens" if prompt.seed_repeats is False else None


def _beyond(prompt: PromptResult, conditions: Conditions) -> str | None:
    """How the model differs by more than the tolerance."""
    compared, tolerance = prompt.comparison, conditions.tolerance
    if compared is None or tolerance is None:
        return None
    most = max(map(abs, compared.differences))
    if most > tolerance:
        return f"log-probabilities differ by up to {most:.3g}, more than {tolerance:g}"
    parting = compared.parting
    if parting is not None and not parting.is_near_tie(conditions.near_tie):
        return f"the texts part at token {parting.position}, and it is no near-tie"
    return None
