"""The HTTP half of the serving process; importing it takes longer than loading a small model."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from codeserve.app.cli.protection import is_exposed
from codeserve.app.factory import build_app
from codeserve.app.manager.manager import ModelManager
from codeserve.app.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""What an idle connection gets: longer than proxies and OpenAI's clients keep theirs, which would
send a request into one that is being closed otherwise."""
CLOSING_SECONDS = 10
"""What connections get to close in, once the drain is over."""

logger = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again when all is done
    and so spoil the exit code."""

    def __init__(self, settings: Settings, manager: ModelManager) -> None:
        """Serves the models of ``manager``."""
        if is_exposed(settings.server):
            logger.warning(
                "Whoever reaches %s may use and change this server: it asks for no API keys.",
                settings.server.host,
            )
        super().__init__(
            uvicorn.Config(
                build_app(settings, manager),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ssl_certfile=settings.server.certfile,
                ssl_keyfile=settings.server.keyfile,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
