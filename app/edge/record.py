"""What is known of one request, for its log line."""

import time
from dataclasses import dataclass, field

from starlette.types import Scope


@dataclass(slots=True)
class RequestRecord:
    """What the log line of one request says; the route fills in what it learns."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    """On the clock of ``time.perf_counter``."""
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    status: int | None = None
    """None until the response starts."""
    complete: bool = False
    error: str | None = None
    """The code of an error, also of one that came after the response had started."""

    @property
    def milliseconds(self) -> int:
        """Time since the request came in."""
        return round((time.perf_counter() - self.started) * 1000)

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
