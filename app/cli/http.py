"""The HTTP half of the serving process; importing it takes longer than loading a small model."""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from codeserve.app.factory import build_app
from codeserve.app.manager.manager import ModelManager
from codeserve.app.settings import Settings

CLOSING_SECONDS = 10
"""What connections get to close in, once the drain is over."""


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again when all is done
    and so spoil the exit code."""

    def __init__(self, settings: Settings, manager: ModelManager) -> None:
        """Serves the models of ``manager``."""
        super().__init__(
            uvicorn.Config(
                build_app(settings, manager),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
