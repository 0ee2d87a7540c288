"""``codeserve keys``."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from codeserve.app.cli.main import build_cli
from codeserve.app.keys.key import KeyScope
from codeserve.app.keys.key_file import read_keys
from codeserve.engines.types import Lane


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands that are not told otherwise find the keys."""
    path = tmp_path / "keys.toml"
    monkeypatch.setenv("CODESERVE_KEYS", str(path))
    return path


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(build_cli(), ["keys", *arguments])


def test_a_new_key_is_printed_once_and_kept_as_its_digest(path: Path) -> None:
    result = keys("create", "alice")
    token = result.stdout.strip()
    assert token.startswith("csk_")
    assert "shown only now" in result.stderr
    assert token not in path.read_text()
    found = read_keys(path).find(token)
    assert found is not None
    assert found.name == "alice"
    assert found.scopes == {KeyScope.INFERENCE}


def test_a_key_may_be_limited_in_every_way(path: Path) -> None:
    scopes = ("--scope", "inference", "--scope", "metrics")
    limits = ("--max-concurrency", "2", "--requests-per-minute", "3", "--tokens-per-minute", "4")
    expiry = ("--expires", "30d", "--lane", "batch", "--model", "a*")
    result = keys("create", "bot", *scopes, *limits, *expiry, "--json")
    shown = json.loads(result.stdout)
    assert "digest" not in shown
    key = read_keys(path).find(shown["key"])
    assert key is not None
    assert key.scopes == {KeyScope.INFERENCE, KeyScope.METRICS}
    assert (key.max_concurrency, key.requests_per_minute, key.tokens_per_minute) == (2, 3, 4)
    assert (key.lane, key.models) == (Lane.BATCH, ("a*",))
    assert key.expires is not None
    assert abs(key.expires - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)
    row = keys("list").stdout.splitlines()[1]
    assert "2 at a time, 3 requests/min, 4 tokens/min" in row


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_revoked_key_is_gone_and_the_others_stay(path: Path, by: str) -> None:
    keys("create", "alice")
    keys("create", "bob")
    alice = json.loads(keys("list", "--json").stdout)[0]
    assert keys("revoke", alice[by]).exit_code == 0
    assert [key.name for key in read_keys(path).keys] == ["bob"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create", "alice"), "has a key 'alice' already"),
        (("create", ""), "length >= 1"),
        (("create", "a", "--scope", "root"), "--scope takes inference, admin, metrics, not root"),
        (("create", "a", "--lane", "fast"), "--lane takes interactive, normal, batch"),
        (("create", "a", "--expires", "soon"), "--expires takes 12h, 30d, 4w, or a date"),
        (("revoke", "carol"), "has no key 'carol'; there are alice"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    path: Path, arguments: tuple[str, ...], why: str
) -> None:
    keys("create", "alice")
    before = path.read_text()
    result = keys(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert result.stderr.count("\n") == 1
    assert path.read_text() == before


def test_a_file_that_is_not_there_is_said_so(path: Path) -> None:
    assert f"{path}: No such file" in keys("list").stderr


def test_without_a_file_the_command_says_which_option_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CODESERVE_KEYS", raising=False)
    assert "--keys" in keys("list").stderr
