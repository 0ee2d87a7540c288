"""What a request's record learns of its generations."""

import time

from codeserve.app.edge.record import RequestRecord
from codeserve.engines.types import TextDelta, Usage


class Account:
    """Writes into a record when the tokens of its request came, and what they cost."""

    def __init__(self, record: RequestRecord) -> None:
        self._record = record
        self._latest: dict[int, float] = {}
        """When each choice got its latest token."""

    def accept(self) -> None:
        """The engine has taken a choice; the first one counts."""
        self._record.accepted = self._record.accepted or time.perf_counter()

    def note(self, index: int, delta: TextDelta) -> None:
        """``delta`` has come for the choice of that ``index``."""
        record = self._record
        if record.queued_seconds is None:
            record.queued_seconds = delta.queued_seconds
        if delta.finish_reason is not None:
            record.finish_reasons.append(delta.finish_reason)
        if not delta.token_ids:
            return
        now = time.perf_counter()
        record.first_token = record.first_token or now
        record.last_token = now
        if index in self._latest:
            gap = (now - self._latest[index]) / len(delta.token_ids)
            record.token_gaps.append(gap)
        self._latest[index] = now

    def close(self, usage: Usage) -> None:
        """All choices have ended, or will not go on; what they have cost."""
        self._record.prompt_tokens = usage.prompt_tokens
        self._record.cached_tokens = usage.cached_tokens
        self._record.completion_tokens = usage.completion_tokens
