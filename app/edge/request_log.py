"""The log line of a request."""

import structlog
from starlette.types import Scope

from codeserve.app.edge.record import RequestRecord


class RequestLog:
    """Writes one line a request."""

    def __init__(self) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("codeserve.requests")

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        """Write the line of a request that has ended."""
        generated = {
            "model": record.model,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
        }
        self._log.info(
            "request",
            id=record.id,
            method=scope["method"],
            path=scope["path"],
            status=record.status,
            outcome=record.outcome,
            ms=record.milliseconds,
            **{name: value for name, value in generated.items() if value is not None},
        )
