"""Scores of tokens, as a response gives them."""

from collections.abc import Sequence

from codeserve.app.api.responses.response_types import Logprob, TopLogprob
from codeserve.engines.types import NamedToken, TokenLogprobs

LEAST = -9999.0
"""Stands for minus infinity, which JSON cannot write."""


def text_logprobs(scored: Sequence[TokenLogprobs]) -> list[Logprob]:
    """The scores of those tokens whose text is shown."""
    return [
        Logprob(**vars(_top(token.chosen)), top_logprobs=[_top(top) for top in token.top])
        for token in scored
        if token.chosen.is_text
    ]


def _top(token: NamedToken) -> TopLogprob:
    return TopLogprob(
        token=token.spelling.decode(errors="replace"),
        bytes=list(token.spelling),
        logprob=max(token.logprob, LEAST),
    )
