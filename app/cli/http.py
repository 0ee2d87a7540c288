"""The HTTP half of the serving process; importing it takes longer than loading a small model."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from codeserve.app.cli.certificate import LiveCertificate
from codeserve.app.cli.protection import is_exposed
from codeserve.app.factory import build_app
from codeserve.app.manager.manager import ModelManager
from codeserve.app.server_settings import ServerSettings
from codeserve.app.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""What an idle connection gets: longer than proxies and OpenAI's clients keep theirs, which would
send a request into one that is being closed otherwise."""
CLOSING_SECONDS = 10
"""What connections get to close in, once the drain is over."""
CERTIFICATE_SECONDS = 0
"""Between two looks at the certificate's files; uvicorn asks once a second at most."""

logger = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again when all is done
    and so spoil the exit code."""

    def __init__(self, settings: Settings, manager: ModelManager) -> None:
        """Serves the models of ``manager``. Raises CertificateError."""
        server = settings.server
        if is_exposed(server):
            logger.warning(
                "Whoever reaches %s may use and change this server: it asks for no API keys.",
                server.host,
            )
        certificate = self._certificate = _certificate(server)
        super().__init__(
            uvicorn.Config(
                build_app(settings, manager),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
                callback_notify=self._refresh_certificate,
                timeout_notify=CERTIFICATE_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def _refresh_certificate(self) -> None:
        if self._certificate is not None:
            self._certificate.refresh()


def _certificate(server: ServerSettings) -> LiveCertificate | None:
    """What TLS shows to clients; None: there is no TLS. Raises CertificateError."""
    return None if server.certfile is None else LiveCertificate(server.certfile, server.keyfile)
