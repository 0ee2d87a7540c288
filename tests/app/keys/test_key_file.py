"""The file of keys, as commands write it and as a server reads it."""

import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from codeserve.app.keys.key import KeyScope
from codeserve.app.keys.key_file import KeyFileError, LiveKeys, changing, read_keys
from codeserve.engines.types import Lane
from tests.app.keys.keys import add_key

GOOD = f'[[keys]]\nid = "a"\nname = "a"\ndigest = "{"0" * 64}"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_what_is_written_is_read(path: Path) -> None:
    key = add_key(
        path,
        'Zoë "the one" \\ 🙂\x7f',
        id="z",
        scopes=frozenset({KeyScope.ADMIN, KeyScope.METRICS}),
        models=("deepseek-*", "a"),
        lane=Lane.BATCH,
        max_concurrency=3,
        tokens_per_minute=1000,
        expires=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert read_keys(path).keys == (key,)
    assert read_keys(path).find(key.name) == key


def test_only_its_owner_reads_it_and_it_holds_no_key(path: Path) -> None:
    add_key(path, "a-secret", name="a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "a-secret" not in path.read_text().replace('id = "a-secret"', "")


def test_keys_made_at_the_same_time_are_all_there(path: Path) -> None:
    names = [f"key-{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: add_key(path, name), names))
    assert sorted(key.name for key in read_keys(path).keys) == sorted(names)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[keys]", "not valid TOML"),
        ("[key]\n", "nothing but [[keys]] tables"),
        (GOOD + "scope = ['admin']\n", "number 1: Object contains unknown field `scope`"),
        (GOOD + "scopes = ['root']\n", "Invalid enum value 'root' - at `$.scopes"),
        (GOOD + "lane = 'fast'\n", "lane: write one of interactive, normal, batch, not 'fast'"),
        (GOOD + "expires = 2030-01-01\n", "Expected `datetime | null`, got `date`"),
        (GOOD + "max_concurrency = 0\n", "Expected `int` >= 1"),
        (GOOD + GOOD, "two keys have the id 'a'"),
        ("keys = [1]\n", "number 1: write a table"),
    ],
)
def test_a_mistake_is_named_with_its_place(path: Path, text: str, why: str) -> None:
    path.write_text(text)
    with pytest.raises(KeyFileError) as raised:
        read_keys(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert why in str(raised.value)


def test_a_change_that_would_break_the_file_changes_nothing(path: Path) -> None:
    add_key(path, "a")
    before = path.read_text()
    with pytest.raises(KeyFileError, match="two keys have the name 'a'"):
        add_key(path, "b", name="a")
    assert path.read_text() == before


def test_a_server_sees_new_keys_and_revoked_ones(path: Path) -> None:
    add_key(path, "a")
    live = LiveKeys(path, recheck_seconds=0)
    add_key(path, "b")
    assert live().find("b")
    with changing(path) as keys:
        del keys[0]
    assert live().find("a") is None
    assert live().find("b")


def test_a_server_looks_no_more_often_than_it_shall(path: Path) -> None:
    add_key(path, "a")
    live = LiveKeys(path, recheck_seconds=1000)
    add_key(path, "b")
    assert live().find("b") is None


@pytest.mark.parametrize("damage", ["broken", "gone"])
def test_a_damaged_file_leaves_a_server_its_keys_and_is_logged_once(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(path, "a")
    live = LiveKeys(path, recheck_seconds=0)
    good = path.read_text()
    if damage == "broken":
        path.write_text("[[keys]")
    else:
        path.unlink()
    with caplog.at_level(logging.ERROR):
        assert live().find("a") == live().find("a") == key
    assert len(caplog.records) == 1
    assert "The API keys stay what they were" in caplog.text
    path.write_text(good + GOOD.replace('"a"', '"b"'))
    assert len(live().keys) == 2


def test_a_file_that_is_swapped_by_a_link_is_seen(tmp_path: Path) -> None:
    """As Kubernetes swaps secrets."""
    add_key(tmp_path / "first.toml", "a")
    add_key(tmp_path / "second.toml", "b")
    link = tmp_path / "keys.toml"
    link.symlink_to("first.toml")
    live = LiveKeys(link, recheck_seconds=0)
    swapped = tmp_path / "new"
    swapped.symlink_to("second.toml")
    swapped.replace(link)
    assert live().find("a") is None
    assert live().find("b")
