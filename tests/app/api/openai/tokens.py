"""Scored tokens, made by hand."""

from codeserve.engines.types import NamedToken, TokenLogprobs


def token(
    spelling: str | bytes, logprob: float = -1.0, token_id: int = 1, *, is_text: bool = True
) -> NamedToken:
    """One token."""
    spelled = spelling.encode() if isinstance(spelling, str) else spelling
    return NamedToken(token_id, spelled, logprob, is_text)


def scored(chosen: NamedToken, *top: NamedToken, rank: int = 1) -> TokenLogprobs:
    """A chosen token and the likeliest ones."""
    return TokenLogprobs(chosen, rank, top)
