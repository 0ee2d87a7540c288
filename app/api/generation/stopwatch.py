"""How long the parts of a generation take."""

import time
from dataclasses import dataclass, field

from codeserve.engines.types import TextDelta


@dataclass(slots=True)
class Stopwatch:
    """When one choice came how far, in seconds on the clock of ``time.perf_counter``."""

    accepted: float = field(default_factory=time.perf_counter)
    """The engine has taken the request."""
    first_token: float | None = None
    """None: not yet."""
    last_token: float | None = None
    """The latest one; None: none yet."""

    def note(self, delta: TextDelta) -> None:
        """``delta`` has come."""
        if delta.token_ids:
            self.last_token = time.perf_counter()
            self.first_token = self.first_token or self.last_token
