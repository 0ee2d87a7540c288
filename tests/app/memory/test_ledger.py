import json
import logging
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from codeserve.app.memory.ledger import MOST_ENTRIES, Entry, Ledger, Subject

SUBJECT = Subject(
    weights=(("a.gguf", 12, 34),),
    engine="llama.cpp",
    python=None,
    quantization=None,
    context_length=1024,
    max_concurrency=2,
    options={"type_k": "q8_0"},
    gpus=0,
)


def entry(size: int, at: float = 0.0) -> Entry:
    return Entry(name="a.gguf", host_bytes=size, gpu_bytes=0, measured_at=at)


def test_what_is_kept_is_there_for_the_next_server(tmp_path: Path) -> None:
    Ledger(tmp_path / "new" / "memory.json").keep(SUBJECT, entry(5))
    assert Ledger(tmp_path / "new" / "memory.json").recall(SUBJECT) == entry(5)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": (("a.gguf", 12, 35),)},
        {"engine": "vllm"},
        {"context_length": 2048},
        {"max_concurrency": 1},
        {"options": {"type_k": "f16"}},
        {"quantization": "4-bit"},
        {"gpus": 1},
        {"method": 0},
    ],
)
def test_whatever_changes_the_memory_is_another_subject(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    ledger = Ledger(tmp_path / "memory.json")
    ledger.keep(SUBJECT, entry(5))
    assert ledger.recall(replace(SUBJECT, **change)) is None


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "memory.json")
    entries = {
        replace(SUBJECT, context_length=number).key: {
            "name": "a",
            "host_bytes": 1,
            "gpu_bytes": 0,
            "measured_at": float(number),
        }
        for number in range(MOST_ENTRIES)
    }
    (tmp_path / "memory.json").write_text(json.dumps(entries))
    ledger.keep(replace(SUBJECT, context_length=1000), entry(2, 1000.0))
    assert ledger.recall(replace(SUBJECT, context_length=1000)) == entry(2, 1000.0)
    assert ledger.recall(replace(SUBJECT, context_length=0)) is None
    assert ledger.recall(replace(SUBJECT, context_length=1)) is not None


@pytest.mark.parametrize("content", ["{", '{"x": {"odd": 1}}', "\x00\xff"])
def test_a_damaged_file_is_passed_over_with_a_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    file = tmp_path / "memory.json"
    file.write_text(content, encoding="latin-1")
    ledger = Ledger(file)
    with caplog.at_level(logging.WARNING):
        assert ledger.recall(SUBJECT) is None
    assert f"{file} is passed over" in caplog.text
    ledger.keep(SUBJECT, entry(5))
    assert ledger.recall(SUBJECT) == entry(5)


def test_a_folder_that_cannot_be_written_costs_a_word_in_the_log_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "memory.json")
    with caplog.at_level(logging.WARNING):
        ledger.keep(SUBJECT, entry(5))
    assert "cannot be remembered" in caplog.text
