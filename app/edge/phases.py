"""What a request that a model has accepted goes through."""

import time
from typing import NamedTuple

from codeserve.app.edge.record import RequestRecord


class Phase(NamedTuple):
    """One of them, on the clock of ``time.perf_counter``."""

    name: str
    """``queue``, ``prefill`` or ``decode``."""
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def phases_of(record: RequestRecord) -> list[Phase]:
    """The phases of the request of ``record`` one after another, as far as they are known: one
    that ended before its first token may not have said when it left the queue. Of several choices
    the first one counts."""
    if record.accepted is None:
        return []
    phases, prefill = [], record.accepted
    reached = record.first_token or record.ended or time.perf_counter()
    if record.queued_seconds is not None:
        prefill = min(record.accepted + record.queued_seconds, reached)
        phases.append(Phase("queue", record.accepted, prefill))
    if record.queued_seconds is not None or record.first_token is not None:
        phases.append(Phase("prefill", prefill, reached))
    if record.first_token is not None and record.last_token is not None:
        phases.append(Phase("decode", record.first_token, record.last_token))
    return phases
