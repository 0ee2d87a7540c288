"""Structured log lines on stderr, for the project's own loggers and for its libraries'."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.types import Processor

QUIET = ("asyncio", "httpcore", "httpx", "sse_starlette", "uvicorn")
"""Libraries that log every step, some of them the text of answers: warnings only."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is now, so that a progress display can step aside."""

    @property
    def stream(self) -> TextIO:
        """The current ``sys.stderr``."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None: ...


def configure_logs(
    log_format: Literal["text", "json"] = "text", level: str = "info", colors: bool = False
) -> None:
    """Send everything that is logged in this process to stderr, one line an event."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=colors,
                sort_keys=False,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
