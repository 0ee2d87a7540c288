from pathlib import Path

import pytest

from codeserve.engines.memory import available_bytes, default_context_length

GIB = 1024**3
DEEPSEEK_6_7B = 32 * 32 * 128 * (2 + 2)


def test_the_default_context_is_long_where_memory_allows() -> None:
    assert default_context_length(16384, 4, DEEPSEEK_6_7B, 100 * GIB) == 8192
    assert default_context_length(4096, 4, DEEPSEEK_6_7B, 100 * GIB) == 4096
    assert default_context_length(16384, 4, None, 0) == 8192


@pytest.mark.parametrize("free", [8 * GIB, 16 * GIB, 24 * GIB])
def test_the_default_cache_takes_at_most_half_of_the_free_memory(free: int) -> None:
    length = default_context_length(16384, 4, DEEPSEEK_6_7B, free)

    assert 4 * length * DEEPSEEK_6_7B <= free / 2
    assert 4 * (length + 256) * DEEPSEEK_6_7B > free / 2


def test_the_default_context_never_falls_below_a_usable_length() -> None:
    assert default_context_length(16384, 4, DEEPSEEK_6_7B, 0) == 512


def test_some_memory_is_available_here() -> None:
    assert available_bytes() > 100 * 1024**2


def test_a_container_leaves_what_its_limit_does(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 400000\ninactive_file 200000\n")
    assert available_bytes(tmp_path) == 500_000

    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 100 * 1024**2
