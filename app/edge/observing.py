"""Those who are told of every request when it has ended: the log, metrics, traces."""

import logging
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Scope

from codeserve.app.edge.record import RequestRecord

logger = logging.getLogger(__name__)


class RequestObserver(Protocol):
    """Learns of each request once, when it has ended; it must not wait for anything."""

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        """The request of ``scope`` has ended; ``record`` is what is known of it."""


def finish(observers: Iterable[RequestObserver], record: RequestRecord, scope: Scope) -> None:
    """Tell all ``observers``; one that fails is logged, and costs neither the others nor the
    response anything."""
    for observer in observers:
        try:
            observer.finish(record, scope)
        except Exception:
            logger.exception("an observer of requests failed")
