import subprocess
import sys
from pathlib import Path

import pytest

from codeserve.engines.llama_cpp import interference
from codeserve.engines.llama_cpp.interference import Interference

COUNT = "for _ in range(30_000_000): pass"
LINUX = Path("/proc/stat").exists()


@pytest.mark.skipif(not LINUX, reason="the system does not tell")
def test_another_process_at_work_is_interference() -> None:
    watch = Interference()
    subprocess.run([sys.executable, "-c", COUNT], check=True)
    assert watch.is_busy


def test_where_the_system_does_not_tell_nothing_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interference, "STATISTICS", tmp_path / "missing")
    watch = Interference()
    subprocess.run([sys.executable, "-c", COUNT], check=True)
    assert not watch.is_busy
