import os
from pathlib import Path

from codeserve.engines.batching.block_store import (
    BLOCK_TOKENS,
    BlockFiles,
    BlockStore,
    block_keys,
)

MANY = 10**9


def files(folder: Path, budget: int = MANY) -> BlockFiles:
    return BlockFiles(folder / "blocks", budget)


def test_a_block_is_named_by_its_tokens_and_all_before_them() -> None:
    prompt = list(range(3 * BLOCK_TOKENS + 5))
    keys = list(block_keys(prompt))
    assert len(keys) == len(set(keys)) == 3
    assert list(block_keys(prompt[: 2 * BLOCK_TOKENS])) == keys[:2]

    changed = [*prompt[:10], -1, *prompt[11:]]
    assert not set(block_keys(changed)) & set(keys)


def test_host_memory_keeps_what_was_used_last_within_its_budget() -> None:
    store = BlockStore(30)
    for key in "abc":
        store.put(key, b"x" * 10)
    store.get("a")
    store.put("d", b"x" * 10)
    assert [key in store for key in "abcd"] == [True, False, True, True]
    assert store.bytes == 30
    store.put("huge", b"x" * 31)
    assert "huge" not in store


def test_without_a_budget_or_a_folder_nothing_is_stored() -> None:
    store = BlockStore(0)
    assert not store.is_useful
    store.put("a", b"x")
    assert store.get("a") is None


def test_files_outlive_the_store(tmp_path: Path) -> None:
    store = BlockStore(0, files(tmp_path))
    store.put("a", b"data")
    store.close()
    assert BlockStore(0, files(tmp_path)).get("a") == b"data"


def test_a_file_that_waits_to_be_written_can_be_read(tmp_path: Path) -> None:
    store = BlockStore(0, files(tmp_path))
    store.put("a", b"data")
    assert store.get("a") == b"data"
    store.close()


def test_the_folder_stays_within_its_budget_over_restarts(tmp_path: Path) -> None:
    first = files(tmp_path, 120)
    for key in "ab":
        first.write(key, b"x" * 20)
    first.close()
    os.utime(tmp_path / "blocks" / "b", (1, 1))

    second = files(tmp_path, 120)
    for key in "cde":
        second.write(key, b"x" * 20)
    second.close()
    left = {path.name for path in (tmp_path / "blocks").iterdir()}
    assert "b" not in left
    assert {"c", "d", "e"} <= left
    assert sum(path.stat().st_size for path in (tmp_path / "blocks").iterdir()) <= 120 + 2 * 36


def test_a_damaged_file_is_no_block_and_goes_away(tmp_path: Path) -> None:
    first = files(tmp_path)
    first.write("a", b"data")
    first.close()
    (tmp_path / "blocks" / "a").write_bytes(b"something else entirely")
    (tmp_path / "blocks" / ".unfinished").write_bytes(b"half")

    second = files(tmp_path)
    assert second.read("a") is None
    assert "a" not in second
    second.close()
    assert list((tmp_path / "blocks").iterdir()) == []


def test_a_block_that_does_not_fit_is_forgotten_everywhere(tmp_path: Path) -> None:
    store = BlockStore(MANY, files(tmp_path))
    store.put("a", b"data")
    store.drop("a")
    assert "a" not in store
    assert store.bytes == 0
    store.close()
    assert list((tmp_path / "blocks").iterdir()) == []
