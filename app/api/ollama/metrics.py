"""What a generation took, in Ollama's words."""

import time

from pydantic import BaseModel

from codeserve.app.api.generation.stopwatch import Stopwatch
from codeserve.engines.types import Usage

NANOSECONDS = 10**9


class Metrics(BaseModel):
    """Counts of tokens, and durations in nanoseconds, which add up to ``total_duration``."""

    total_duration: int
    """Since the request came in."""
    load_duration: int
    """Until the engine had taken the request."""
    prompt_eval_count: int
    """Tokens of the prompt, cached ones included."""
    prompt_eval_duration: int
    """From then to the first token, the wait for a slot included."""
    eval_count: int
    """Tokens generated."""
    eval_duration: int
    """From the first token to the last."""


def metrics(started: float, stopwatch: Stopwatch, usage: Usage) -> Metrics:
    """What a generation that ends now has taken; its request came in at ``started``, on the clock
    of ``time.perf_counter``."""
    now = time.perf_counter()
    first_token = now if stopwatch.first_token is None else stopwatch.first_token
    load = _nanoseconds(stopwatch.accepted - started)
    prompt = _nanoseconds(first_token - stopwatch.accepted)
    generation = _nanoseconds(now - first_token)
    return Metrics(
        total_duration=load + prompt + generation,
        load_duration=load,
        prompt_eval_count=usage.prompt_tokens,
        prompt_eval_duration=prompt,
        eval_count=usage.completion_tokens,
        eval_duration=generation,
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
