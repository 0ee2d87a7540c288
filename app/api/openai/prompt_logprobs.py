"""vLLM's ``prompt_logprobs``: how likely the prompt's tokens were."""

from typing_extensions import TypedDict

from codeserve.app.api.generation.logprobs import finite
from codeserve.engines.types import NamedToken, PromptReport, TokenLogprobs


class PromptLogprob(TypedDict):
    """How likely one token was at one place."""

    logprob: float
    rank: int
    decoded_token: str


PromptLogprobs = list[dict[int, PromptLogprob] | None]
"""For each token of the prompt its id and the likeliest ones; null for the first."""


def prompt_logprobs(report: PromptReport, alternatives: int) -> PromptLogprobs:
    """The tokens of ``report`` with so many ``alternatives``."""
    return [token if token is None else _entries(token, alternatives) for token in report.logprobs]


def _entries(token: TokenLogprobs, alternatives: int) -> dict[int, PromptLogprob]:
    likeliest = enumerate(token.top[:alternatives], start=1)
    return {
        token.chosen.token_id: _entry(token.chosen, token.rank),
        **{other.token_id: _entry(other, rank) for rank, other in likeliest},
    }


def _entry(token: NamedToken, rank: int) -> PromptLogprob:
    return PromptLogprob(
        logprob=finite(token.logprob),
        rank=rank,
        decoded_token=token.spelling.decode(errors="replace"),
    )
