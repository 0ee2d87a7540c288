"""All that is known of one model at the moment of a scrape."""

from dataclasses import dataclass
from functools import cached_property

from codeserve.app.manager.history import ModelHistory, WorkerCounts
from codeserve.app.manager.status import ModelStatus
from codeserve.app.metrics.request_tally import RequestTally


@dataclass(frozen=True)
class Reading:
    """One model, be it here or be it gone."""

    model: str
    """Its id; empty: requests that asked for no model, or for one that never was here."""
    requests: RequestTally
    history: ModelHistory
    status: ModelStatus | None = None
    """None: it has been terminated."""

    @cached_property
    def counts(self) -> WorkerCounts:
        """What its workers have counted."""
        return self.history.counts
