"""A server with TLS and keys, as OpenAI's client and the commands of an operator meet it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from codeserve.app.keys.key import KeyScope
from codeserve.app.keys.key_file import changing
from tests.app.cli.certificates import write_certificate
from tests.app.cli.conftest import ServeProcess
from tests.app.keys.keys import add_key
from tests.eventually import eventually

FAKE = '[[models]]\nid = "fast"\npath = "/dev/null"\nengine = "fake"\n'
Command = Callable[..., Result]


class Secured:
    """The server and what one needs to get in."""

    def __init__(self, folder: Path) -> None:
        self.certfile, keyfile = write_certificate(folder)
        self.keys = folder / "keys.toml"
        add_key(self.keys, "asker")
        add_key(self.keys, "operator", scopes=frozenset({KeyScope.ADMIN}))
        options = {"--certfile": self.certfile, "--keyfile": keyfile, "--keys": self.keys}
        arguments = [str(part) for pair in options.items() for part in pair]
        self.process = ServeProcess(folder, FAKE, *arguments)
        self.url = self.process.url()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    running = Secured(tmp_path_factory.mktemp("secured"))
    yield running
    running.process.process.kill()
    running.process.process.wait()


@pytest.fixture
def command(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command against the server, in this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.certfile))

    def run(key: str | None, name: str, *arguments: str) -> Result:
        monkeypatch.setenv("CODESERVE_API_KEY", key or "")
        return CliRunner().invoke(build_cli(), [name, "--endpoint", secured.url, *arguments])

    return run


def test_openais_client_gets_in_with_a_key(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.certfile))
    ask: dict[str, Any] = {"model": "fast", "prompt": "x", "max_tokens": 3}
    url = f"{secured.url}/v1"
    with openai.OpenAI(base_url=url, api_key="asker", max_retries=0, timeout=60) as client:
        assert client.completions.create(**ask).choices[0].text
        with client.completions.create(**ask, stream=True) as chunks:
            assert "".join(chunk.choices[0].text for chunk in chunks)
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0, timeout=60) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()
    with (
        openai.OpenAI(base_url=url, api_key="operator", max_retries=0, timeout=60) as client,
        pytest.raises(openai.PermissionDeniedError),
    ):
        client.completions.create(**ask)


def test_the_last_lines_show_how_to_ask_it(secured: Secured) -> None:
    assert secured.url.startswith("https://127.0.0.1:")
    assert '-H "Authorization: Bearer $CODESERVE_API_KEY"' in secured.process.out
    assert 'api_key=os.environ["CODESERVE_API_KEY"]' in secured.process.out


def test_an_operator_launches_and_ends_models(command: Command) -> None:
    fake = ("--model-path", "/dev/null", "--model-engine", "fake", "--model-uid", "new")
    for arguments in (
        ("launch", *fake),
        ("list",),
        ("ps",),
        ("restart", "--model-uid", "new"),
        ("pin", "--model-uid", "new"),
        ("pin", "--model-uid", "new", "--off"),
        ("unload", "--model-uid", "new"),
        ("logs", "--model-uid", "new"),
        ("events",),
        ("registrations",),
        ("engine", "--model-name", "deepseek-coder"),
        ("terminate", "--model-uid", "new"),
    ):
        result = command("operator", *arguments)
        assert result.exit_code == 0, (arguments, result.output)
    refused = command("asker", "terminate", "--model-uid", "fast")
    assert refused.exit_code == 1
    assert "This needs an API key with the scope admin" in refused.stderr


def test_a_user_chats_and_completes(command: Command) -> None:
    assert command("asker", "complete", "x", "--max-tokens", "3").stdout
    assert command("asker", "chat", "x").stdout
    assert "asks for an API key" in command(None, "chat", "x").stderr
    measured = command("asker", "bench", "single", "--json", "-")
    assert measured.exit_code == 0, measured.output


def test_an_unknown_authority_is_said_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "is not trusted here" in command("operator", "list").stderr


async def test_a_revoked_key_is_out_within_a_moment(secured: Secured, command: Command) -> None:
    add_key(secured.keys, "guest")
    await eventually(lambda: command("guest", "list").exit_code == 0)
    with changing(secured.keys) as keys:
        keys[:] = [key for key in keys if key.name != "guest"]
    await eventually(lambda: command("guest", "list").exit_code == 1)
