import os
from pathlib import Path

import pytest

from codeserve.engines import cores

linux_only = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="the system has no CPU affinity"
)


@linux_only
def test_no_more_threads_than_the_process_may_use() -> None:
    assert 1 <= cores.usable_cores() <= len(os.sched_getaffinity(0))


@linux_only
def test_hyper_threads_of_one_core_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cpu in os.sched_getaffinity(0):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text("0-99\n")
    monkeypatch.setattr(cores, "CPUS", tmp_path)
    assert cores.usable_cores() == 1


@linux_only
@pytest.mark.parametrize(
    ("quota", "expected"), [("100000 100000\n", 1), ("50000 100000\n", 1), ("max 100000\n", None)]
)
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int | None
) -> None:
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "missing")
    unlimited = cores.usable_cores()
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    monkeypatch.setattr(cores, "CGROUP_QUOTA", path)
    assert cores.usable_cores() == (unlimited if expected is None else expected)
