"""What protects a server from those who reach it, checked before it can be reached."""

import socket
from ipaddress import ip_address
from pathlib import Path

from codeserve.app.cli.certificate import CertificateError, read_certificate
from codeserve.app.keys.key_file import KeyFileError, read_keys
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError

CREATE_KEYS = "codeserve keys create NAME --keys FILE"


def require_protection(server: ServerSettings) -> None:
    """Raise SettingsError where others could use a server that asks for no keys, and for keys or a
    certificate that cannot be used."""
    if server.keys is not None:
        _require_keys(server.keys)
    elif server.redis is not None:
        raise SettingsError("redis: it counts for API keys, and there are none; set keys")
    elif not server.insecure and is_exposed(server):
        raise SettingsError(
            f"on {server.host} other machines could use and change this server, and no API keys "
            f"are asked for. Make some ({CREATE_KEYS}) and serve with --keys FILE, listen on "
            "127.0.0.1, or say --insecure"
        )
    if server.certfile is not None:
        _require_certificate(server.certfile, server.keyfile)
    elif server.keyfile is not None:
        raise SettingsError("keyfile: it goes with certfile, which is not set")


def is_exposed(server: ServerSettings) -> bool:
    """Whether other machines may use and change the server without a key."""
    return server.keys is None and not _is_loopback(server.host)


def _require_keys(path: Path) -> None:
    try:
        read_keys(path)
    except KeyFileError as error:
        raise SettingsError(f"keys: {error}. To make a file of keys: {CREATE_KEYS}") from error


def _require_certificate(certfile: Path, keyfile: Path | None) -> None:
    try:
        read_certificate(certfile, keyfile)
    except CertificateError as error:
        raise SettingsError(str(error)) from error


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; of a name, all addresses count."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(host) and all(ip_address(str(where[0])).is_loopback for *_, where in found)
