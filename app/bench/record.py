"""What is known of a request."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Outcome(StrEnum):
    """How a request ended."""

    RUNNING = "running"
    """It has not ended."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    """Closed by the client while the server was still at work."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """One streamed completion; times are seconds on one clock."""

    outcome: Outcome
    sent: float
    text_times: tuple[float, ...]
    """When each event with text came. An event may carry several tokens."""
    ended: float
    text: str = ""
    prompt_tokens: int | None = None
    """None: the server did not say."""
    cached_tokens: int | None = None
    reported_tokens: int | None = None
    """Generated tokens as the server counts them; None: it did not say."""
    error: str | None = None

    @property
    def ttft(self) -> float | None:
        """Seconds to the first text; None if none came."""
        return self.text_times[0] - self.sent if self.text_times else None

    @property
    def output_tokens(self) -> int:
        """Generated tokens as the server counts them, else one for each event."""
        return len(self.text_times) if self.reported_tokens is None else self.reported_tokens

    @property
    def gaps(self) -> tuple[float, ...]:
        """Seconds between each text and the next."""
        return tuple(later - earlier for earlier, later in pairwise(self.text_times))

    @property
    def decode_rate(self) -> float | None:
        """Tokens per second after the first one; None if there were no two texts."""
        if len(self.text_times) < 2:
            return None
        return (self.output_tokens - 1) / (self.text_times[-1] - self.text_times[0])

    def gaps_within(self, start: float, end: float) -> tuple[float, ...]:
        """The gaps that lie between ``start`` and ``end``, at least in part and counted whole."""
        return tuple(
            later - earlier
            for earlier, later in pairwise(self.text_times)
            if earlier < end and later > start
        )
