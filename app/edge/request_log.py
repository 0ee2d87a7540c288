"""The log line of a request."""

import structlog
from starlette.types import Scope

from codeserve.app.edge.record import RequestRecord

LONGEST_TEXT = 200
"""Of what a client made up, such as the path and the name of a model."""


class RequestLog:
    """Writes one line a request: no text of its body, query or headers but its id and trace."""

    def __init__(self) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("codeserve.requests")

    def finish(self, record: RequestRecord, scope: Scope) -> None:
        """Write the line of a request that has ended."""
        known = {
            "key": record.key,
            "model": None if record.model is None else _short(record.model),
            **_generation(record),
            "trace_id": record.trace_id,
        }
        self._log.info(
            "request",
            id=record.id,
            method=scope["method"],
            path=_short(scope["path"]),
            status=record.status,
            outcome=record.outcome,
            ms=record.milliseconds,
            **{name: value for name, value in known.items() if value is not None},
        )


def _generation(record: RequestRecord) -> dict[str, object]:
    """What is known of a request that a model has accepted."""
    if record.accepted is None:
        return {}
    return {
        "lane": record.lane.name.lower(),
        "stream": record.stream,
        "prompt_tokens": record.prompt_tokens,
        "cached_tokens": record.cached_tokens,
        "completion_tokens": record.completion_tokens,
        "finish_reasons": record.finish_reasons or None,
        "queue_ms": _milliseconds(record.queued_seconds),
        "ttft_ms": _milliseconds(record.seconds_to_first_token),
        "tokens_per_second": record.tokens_per_second,
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
