"""What a worker logs on its standard error, for the API process to log again."""

import logging
from types import TracebackType

from codeserve.engines.tracebacks import anonymous_traceback

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """Writes ``LEVEL logger: text``, each line of an event and of its traceback so."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of ``record``. asyncio's say what went wrong; the rest quotes arguments."""
        lines = super().format(record).splitlines()
        if record.name == "asyncio" and record.exc_info is None:
            lines = lines[:1]
        return "\n".join(f"{record.levelname} {record.name}: {line}" for line in lines)

    def formatException(self, ei: ExcInfo) -> str:
        """The traceback without messages."""
        return "" if ei[1] is None else anonymous_traceback(ei[1])


def configure_logs() -> None:
    """Send everything that is logged in this process to its standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
