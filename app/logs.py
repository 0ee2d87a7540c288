"""Structured log lines on stderr, for the project's own loggers and for its libraries'."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from codeserve.engines.tracebacks import anonymous_traceback

QUIET = ("asyncio", "httpcore", "httpx", "sse_starlette", "uvicorn")
"""Libraries that log every step, some of them the text of answers: warnings only."""

SEE_NO_REQUESTS = (
    "codeserve.app.cli",
    "codeserve.app.environments",
    "codeserve.app.manager",
    "codeserve.app.memory",
    "codeserve.model_specs.hub",
)
"""Loggers whose exceptions are written with their messages, as these cannot quote a prompt."""


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
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[
                _quote_nobody,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                *_renderers(log_format, colors),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(log_format: Literal["text", "json"], colors: bool) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer()]
    return [
        _escape_controls,
        structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False),
    ]


def _quote_nobody(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop what may quote a prompt: messages of exceptions, and the arguments of callbacks that
    asyncio tells of."""
    name = event["_record"].name
    error = _error_of(event.get("exc_info"))
    if error is not None and not name.startswith(SEE_NO_REQUESTS):
        del event["exc_info"]
        event["exception"] = anonymous_traceback(error)
    if name == "asyncio":
        event["event"] = event["event"].partition("\n")[0]
    return event


def _error_of(exc_info: object) -> BaseException | None:
    """The exception, in whichever way a logger was given it."""
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exception()
    return None


def _escape_controls(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Let no path and no worker's line move the cursor of a terminal or begin a line."""
    return {
        name: _escaped(value) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
