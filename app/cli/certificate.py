"""The TLS certificate, read at the start and again when its files have changed."""

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

from codeserve.app.fingerprint import Fingerprint, fingerprint

logger = logging.getLogger(__name__)


class CertificateError(ValueError):
    """The certificate cannot be used; the message says which setting, which file, and why."""


def read_certificate(certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """What shows the certificate to clients; ``keyfile``: None where ``certfile`` holds the key.

    Raises CertificateError.
    """
    for name, path in (("certfile", certfile), ("keyfile", keyfile)):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise CertificateError(f"{name}: {path}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certfile, keyfile, password=_no_password)
    except (OSError, ValueError) as error:
        files = certfile if keyfile is None else f"{certfile} and {keyfile}"
        raise CertificateError(
            f"certfile: {files} must hold a certificate and its private key as PEM, without a "
            f"password: {error}"
        ) from error
    return context


class LiveCertificate:
    """Gives each new connection the certificate that is in the files by then."""

    def __init__(self, certfile: Path, keyfile: Path | None) -> None:
        """``keyfile``: None where ``certfile`` holds the key. Raises CertificateError."""
        self._certfile = certfile
        self._keyfile = keyfile
        self._seen = self._fingerprints()
        self._latest = read_certificate(certfile, keyfile)
        self._problem: str | None = None
        self.context = self._latest
        """What a listener needs, once and for all."""
        self.context.sni_callback = self._present

    def refresh(self) -> None:
        """Read the files again if they have changed; while they are broken, or do not belong to
        each other, the last good certificate is kept."""
        seen = self._fingerprints()
        if seen == self._seen:
            self._problem = None
            return
        try:
            self._latest = read_certificate(self._certfile, self._keyfile)
        except CertificateError as error:
            self._complain(str(error))
            return
        self._seen, self._problem = seen, None
        logger.info("%s has changed: new connections get the new certificate", self._certfile)

    def _complain(self, problem: str) -> None:
        """Say it once, however often the files are looked at."""
        if problem != self._problem:
            self._problem = problem
            logger.error("%s. The TLS certificate stays what it was before.", problem)

    def _fingerprints(self) -> Sequence[Fingerprint | None]:
        return [fingerprint(path) for path in (self._certfile, self._keyfile) if path is not None]

    def _present(
        self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        """OpenSSL calls this in every handshake, whether the client says a ``name`` or not."""
        connection.context = self._latest


def _no_password() -> str:
    return ""
