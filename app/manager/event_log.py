"""The last events of all models."""

import logging
import time

from codeserve.app.manager.events import EventKind, ModelEvent
from codeserve.app.manager.journal import Journal
from codeserve.app.manager.status import ModelState

EVENTS = 1000
"""Events that are kept."""

TROUBLE = frozenset({ModelState.RESTARTING, ModelState.FAILED})
"""States that somebody should know of."""

logger = logging.getLogger(__name__)


class EventLog(Journal[ModelEvent]):
    """Keeps the last events, dated as they come."""

    def __init__(self) -> None:
        super().__init__(EVENTS)

    def note(self, model_id: str, kind: EventKind, state: ModelState, message: str = "") -> None:
        """It happened to a model, which is in ``state`` since; the log says so, too."""
        level = logging.WARNING if state in TROUBLE else logging.INFO
        text = f"{kind} ({state})" if kind is not EventKind.STATE else str(state)
        logger.log(level, "%s%s", text, message and f": {message}", extra={"model": model_id})
        self.add(model_id, kind, state, message)

    def complain(self, model_id: str, reason: str) -> None:
        """The launch of a model cannot be remembered; the log says so, too."""
        logger.error("the launch of %s cannot be remembered: %s", model_id, reason)
        self.add(model_id, EventKind.NOT_SAVED, message=reason)

    def add(
        self, model_id: str, kind: EventKind, state: ModelState | None = None, message: str = ""
    ) -> None:
        """It happened now; ``state``: the model's since, None where it is another matter."""
        self.write(
            ModelEvent(at=time.time(), model=model_id, kind=kind, state=state, message=message)
        )
