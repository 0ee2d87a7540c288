"""What llama.cpp's server says of a generation."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.logprobs import finite
from codeserve.engines.types import FinishReason, NamedToken, TokenLogprobs, Usage


class TokenProbability(BaseModel):
    """One token and how likely it was."""

    id: int
    token: str
    bytes: list[int]
    logprob: float


class TokenProbabilities(TokenProbability):
    """A token of the text and what could have been in its place."""

    top_logprobs: list[TokenProbability]


class Progress(BaseModel):
    """How long it took, as the client saw it; times in milliseconds."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    prompt_ms: float
    """From the request to the first token, with the time in the queue."""
    predicted_n: int
    predicted_ms: float
    """From the first tokens to the last ones."""
    predicted_per_token_ms: float
    predicted_per_second: float


class Timings(Progress):
    """What was computed, and how long it took."""

    cache_n: int
    """Tokens of the prompt that were cached."""
    prompt_n: int
    """Tokens of the prompt that were computed."""
    prompt_per_token_ms: float
    prompt_per_second: float


class Piece(BaseModel):
    """One event of a stream."""

    index: int
    content: str
    tokens: list[int]
    stop: Literal[False] = False
    id_slot: int = -1
    completion_probabilities: list[TokenProbabilities] | None = None
    """Only with ``n_probs``."""
    timings: Progress | None = None
    """Only with ``timings_per_token``."""


class Result(BaseModel):
    """A whole generation; in a stream its last event, without the text."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    index: int
    content: str
    tokens: list[int]
    """Only with ``return_tokens``."""
    id_slot: int = -1
    """Always -1: requests have no slots that a client could name."""
    stop: Literal[True] = True
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    """Tokens of the prompt, cached ones included."""
    generation_settings: dict[str, Any]
    prompt: str | None = None
    has_new_line: bool
    truncated: bool
    """The context is full, or not all that was given has fitted into it."""
    stop_type: Annotated[str, Field(examples=["eos", "word", "limit"])]
    stopping_word: str
    tokens_cached: int
    """Tokens of prompt and text, which are cached now."""
    timings: Timings
    completion_probabilities: list[TokenProbabilities] | None = None
    """Only with ``n_probs``."""


def progress(answer: Answer, tokens: int, started: float) -> Progress:
    """How long ``answer`` has taken for so many tokens since ``started``, on the clock of its
    stopwatch."""
    watch = answer.stopwatch
    began = watch.first_token or started
    predicted_ms = ((watch.last_token or began) - began) * 1000
    return Progress(
        prompt_ms=(began - started) * 1000,
        predicted_n=tokens,
        predicted_ms=predicted_ms,
        predicted_per_token_ms=_ratio(predicted_ms, tokens),
        predicted_per_second=_ratio(tokens * 1000, predicted_ms),
    )


def timings(answer: Answer, usage: Usage, started: float) -> Timings:
    """What ``answer`` has cost, and how long it has taken since ``started``."""
    taken = progress(answer, usage.completion_tokens, started)
    prompt_n = usage.prompt_tokens - usage.cached_tokens
    return Timings(
        **taken.model_dump(),
        cache_n=usage.cached_tokens,
        prompt_n=prompt_n,
        prompt_per_token_ms=_ratio(taken.prompt_ms, prompt_n),
        prompt_per_second=_ratio(prompt_n * 1000, taken.prompt_ms),
    )


def stop_type(answer: Answer) -> str:
    """Why ``answer`` ended, in llama.cpp's words."""
    if answer.finish_reason is FinishReason.LENGTH:
        return "limit"
    return "word" if isinstance(answer.stop_reason, str) else "eos"


def probabilities(logprobs: Sequence[TokenLogprobs]) -> list[TokenProbabilities]:
    """Scored tokens in llama.cpp's shape."""
    return [
        TokenProbabilities(
            **_named(scored.chosen),
            top_logprobs=[TokenProbability(**_named(token)) for token in scored.top],
        )
        for scored in logprobs
    ]


def select(fields: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The values at ``paths``, such as ``timings/prompt_n``, under their paths; those that do not
    exist are left out."""
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = fields
        for name in path.split("/"):
            if not (isinstance(value, dict) and name in value):
                break
            value = value[name]
        else:
            found[path] = value
    return found


def _named(token: NamedToken) -> dict[str, Any]:
    return {
        "id": token.token_id,
        "token": token.spelling.decode(errors="replace"),
        "bytes": list(token.spelling),
        "logprob": finite(token.logprob),
    }


def _ratio(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else 0.0
