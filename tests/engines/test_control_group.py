from pathlib import Path

from codeserve.engines.control_group import MemoryLimit, memory_limits


def group(folder: Path, limit: str, used: int, idle: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {idle}\n")


def test_every_group_above_the_process_may_limit_it(tmp_path: Path) -> None:
    root, membership = tmp_path / "groups", tmp_path / "membership"
    membership.write_text("0::/system.slice/serve.service\n")
    group(root, "max", 9, 9)
    group(root / "system.slice", "1000", 700, 100)
    group(root / "system.slice" / "serve.service", "800", 850, 0)
    outer, inner = memory_limits(root, membership)
    assert outer == MemoryLimit(1000, 600)
    assert outer.left_bytes == 400
    assert inner.left_bytes == 1


def test_groups_of_version_1_are_read(tmp_path: Path) -> None:
    root, membership = tmp_path / "groups", tmp_path / "membership"
    membership.write_text("5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    folder = root / "memory" / "docker" / "abc"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("5000\n")
    (folder / "memory.usage_in_bytes").write_text("2000\n")
    (folder / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 500\n")
    assert memory_limits(root, membership) == (MemoryLimit(5000, 1500),)


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert memory_limits(tmp_path, tmp_path / "none") == ()
