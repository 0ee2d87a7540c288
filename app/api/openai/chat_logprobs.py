"""The log-probabilities of chats: an entry for each token of a message's content."""

from collections.abc import Iterable

from codeserve.app.api.generation.logprobs import finite
from codeserve.app.api.openai.chat_types import ChatLogprobs, ScoredChoice, ScoredToken
from codeserve.engines.types import NamedToken, TokenLogprobs


def chat_logprobs(tokens: Iterable[TokenLogprobs], *, as_ids: bool) -> ChatLogprobs:
    """The entries of ``tokens``, whose bytes in a row are those of the content: what is not shown,
    such as the token that ended the text, has none. ``as_ids`` calls tokens ``token_id:17``."""
    content = [
        ScoredChoice(
            **_scored(token.chosen, as_ids=as_ids),
            top_logprobs=[_scored(other, as_ids=as_ids) for other in token.top],
        )
        for token in tokens
        if token.chosen.is_text
    ]
    return ChatLogprobs(content=content, refusal=None)


def _scored(token: NamedToken, *, as_ids: bool) -> ScoredToken:
    """``token``; bytes that are no text by themselves are escaped, as OpenAI does it."""
    text = token.spelling.decode("utf-8", "backslashreplace")
    return ScoredToken(
        token=f"token_id:{token.token_id}" if as_ids else text,
        logprob=finite(token.logprob),
        bytes=list(token.spelling),
    )
