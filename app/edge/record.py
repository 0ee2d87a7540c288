"""What is known of one request, for those who are told of it when it has ended."""

import time
from dataclasses import dataclass, field

from starlette.types import Scope

from codeserve.engines.types import Lane


@dataclass(slots=True)
class RequestRecord:
    """The facts of one request; the route fills in what it learns."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    """On the clock of ``time.perf_counter``."""
    route: str | None = None
    """The path of its route, with names for what varies; None: no route has its path."""
    key: str | None = None
    """Id of the API key; never the key."""
    model: str | None = None
    """What was asked for, unless there is no such model."""
    lane: Lane = Lane.NORMAL
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    accepted: float | None = None
    """When the engine took the request, on the same clock."""
    queued_seconds: float | None = None
    """How long it waited for a slot of the engine."""
    first_token: float | None = None
    """When its first token came, on the same clock."""
    last_token: float | None = None
    token_gaps: list[float] = field(default_factory=list)
    """Seconds between deltas, each divided by the tokens that came with the later one."""
    finish_reasons: list[str] = field(default_factory=list)
    trace_id: str | None = None
    """Of the trace that it is part of, in hexadecimal."""
    ended: float | None = None
    """When the answer had been sent, on the same clock."""
    status: int | None = None
    """None until the response starts."""
    complete: bool = False
    error: str | None = None
    """The code of an error, also of one that came after the response had started."""
    refusal: str | None = None
    """The kind of error that was the response: the name of its class."""

    @property
    def milliseconds(self) -> int:
        """Time since the request came in, to its end once that has come."""
        return round(((self.ended or time.perf_counter()) - self.started) * 1000)

    @property
    def seconds_to_first_token(self) -> float | None:
        """From the request's coming in."""
        return None if self.first_token is None else self.first_token - self.started

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens after the first, by the time that they took; None where that is none."""
        if self.first_token is None or self.last_token is None or self.completion_tokens is None:
            return None
        seconds = self.last_token - self.first_token
        return round((self.completion_tokens - 1) / seconds, 1) if seconds > 0 else None

    @property
    def outcome(self) -> str:
        """How the request ended."""
        if self.error is not None:
            return self.error
        return "ok" if self.complete else "disconnected"


def record_of(scope: Scope) -> RequestRecord:
    """The record of the request of ``scope``."""
    record: RequestRecord = scope["state"]["record"]
    return record
