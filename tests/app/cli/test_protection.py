"""What ``codeserve serve`` refuses to begin with."""

from pathlib import Path

import pytest

from codeserve.app.cli.protection import require_protection
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError
from tests.app.keys.keys import add_key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    add_key(tmp_path / "keys.toml", "a")
    return tmp_path / "keys.toml"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_keys(host: str) -> None:
    require_protection(ServerSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "", "no-such-host.invalid"])
def test_others_need_them_unless_that_is_said(host: str, keys: Path) -> None:
    with pytest.raises(SettingsError, match="no API keys are asked for"):
        require_protection(ServerSettings(host=host))
    require_protection(ServerSettings(host=host, insecure=True))
    require_protection(ServerSettings(host=host, keys=keys))


def test_keys_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.toml: No such file.*codeserve keys create"):
        require_protection(ServerSettings(keys=tmp_path / "none.toml"))


def test_what_counts_for_keys_needs_keys() -> None:
    with pytest.raises(SettingsError, match="redis: it counts for API keys, and there are none"):
        require_protection(ServerSettings(redis="redis://127.0.0.1:6379"))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for settings, why in (
        (ServerSettings(keyfile=wrong), "keyfile: it goes with certfile"),
        (ServerSettings(certfile=tmp_path / "none.pem"), "certfile: .*none.pem: No such file"),
        (ServerSettings(certfile=wrong, keyfile=tmp_path / "none.pem"), "keyfile: .*none.pem"),
        (ServerSettings(certfile=wrong), "wrong.pem must hold a certificate and its private key"),
    ):
        with pytest.raises(SettingsError, match=why):
            require_protection(settings)
