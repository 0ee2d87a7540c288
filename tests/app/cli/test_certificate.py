"""Certificates that are renewed while the server runs."""

import logging
import shutil
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from codeserve.app.cli.certificate import CertificateError, LiveCertificate
from tests.app.cli.certificates import write_certificate
from tests.eventually import eventually

FAKE = '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n'


def anyone() -> ssl.SSLContext:
    """A client that trusts every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def der(certfile: Path) -> bytes:
    """The certificate as it crosses the network."""
    return ssl.PEM_cert_to_DER_cert(certfile.read_text())


def shown(server: ssl.SSLContext, name: str | None = None) -> bytes | None:
    """The certificate that a new connection gets, of a client that says ``name``."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = anyone().wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, other, client, other):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True)


@pytest.mark.parametrize("name", [None, "localhost"])
def test_a_new_connection_gets_what_is_in_the_files_by_then(
    tmp_path: Path, name: str | None
) -> None:
    certfile, keyfile = write_certificate(tmp_path)
    certificate = LiveCertificate(certfile, keyfile)
    first = der(certfile)
    assert shown(certificate.context, name) == first
    write_certificate(tmp_path)
    certificate.refresh()
    assert shown(certificate.context, name) == der(certfile) != first


def test_a_swapped_link_is_a_new_certificate_as_kubernetes_swaps_them(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        write_certificate(tmp_path / version)
    data = tmp_path / "..data"
    data.symlink_to("1")
    certfile, keyfile = tmp_path / "tls.crt", tmp_path / "tls.key"
    certfile.symlink_to("..data/cert.pem")
    keyfile.symlink_to("..data/key.pem")
    certificate = LiveCertificate(certfile, keyfile)
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(data)
    shutil.rmtree(tmp_path / "1")
    certificate.refresh()
    assert shown(certificate.context) == der(tmp_path / "2" / "cert.pem")


def test_files_that_cannot_be_used_leave_the_last_good_certificate_and_one_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certfile, keyfile = write_certificate(tmp_path)
    certificate = LiveCertificate(certfile, keyfile)
    good = der(certfile)
    (tmp_path / "other").mkdir()
    other, of_other = write_certificate(tmp_path / "other")

    def mismatch() -> None:
        shutil.copy(other, certfile)

    def damage() -> None:
        certfile.write_text("no certificate")

    for number, spoil in enumerate((mismatch, damage, certfile.unlink), 1):
        spoil()
        for _ in range(3):
            certificate.refresh()
        errors = [line for line in caplog.messages if "stays what it was before" in line]
        assert len(errors) == number
        assert shown(certificate.context) == good
    shutil.copy(other, certfile)
    shutil.copy(of_other, keyfile)
    with caplog.at_level(logging.INFO):
        certificate.refresh()
    assert "new connections get the new certificate" in caplog.messages[-1]
    assert shown(certificate.context) == der(other)


def test_a_certificate_that_cannot_be_used_is_no_beginning(tmp_path: Path) -> None:
    certfile, _ = write_certificate(tmp_path)
    with pytest.raises(CertificateError, match="must hold a certificate and its private key"):
        LiveCertificate(certfile, None)


async def test_a_running_server_shows_a_renewed_certificate_and_keeps_open_connections(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    certfile, keyfile = write_certificate(tmp_path)
    running = serve(FAKE, "--certfile", str(certfile), "--keyfile", str(keyfile))
    address = urlsplit(running.url()).hostname, urlsplit(running.url()).port
    trusted = ssl.create_default_context(cafile=certfile)

    def get_certificate() -> bytes | None:
        with socket.create_connection(address) as plain, anyone().wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)

    open_one = HTTPSConnection(*address, context=trusted)
    open_one.request("GET", "/livez")
    assert open_one.getresponse().read()
    before, kept = get_certificate(), open_one.sock
    write_certificate(tmp_path)
    renewed = der(certfile)
    assert before != renewed
    await eventually(lambda: get_certificate() == renewed)
    open_one.request("GET", "/livez")
    assert open_one.getresponse().status == 200
    assert open_one.sock is kept
    open_one.close()
