import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.placement import Placement
from codeserve.engines.errors import ModelLoadError
from codeserve.engines.worker.client import WorkerClient
from tests.eventually import eventually


async def test_an_ended_worker_leaves_no_process_and_no_folder() -> None:
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    folder = Path(worker.address).parent
    assert folder.stat().st_mode & 0o077 == 0
    await worker.end(0)
    assert not psutil.pid_exists(worker.pid)
    assert not folder.exists()


async def test_a_worker_may_be_ended_again() -> None:
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    await worker.end(0)
    await worker.end(0)
    assert "SIGKILL" in await worker.wait()


async def test_a_stopped_worker_is_killed() -> None:
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    os.kill(worker.pid, signal.SIGSTOP)
    await worker.end(0)
    assert not psutil.pid_exists(worker.pid)


async def test_a_worker_with_a_connection_has_no_folder_any_more() -> None:
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    client = await WorkerClient.connect(worker.address)
    await eventually(lambda: client.heartbeats > 0)
    assert not Path(worker.address).parent.exists()
    await client.close()
    await worker.end(10)


async def test_a_worker_of_which_a_process_is_stopped_says_so() -> None:
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    assert not worker.is_stopped()
    os.kill(worker.pid, signal.SIGSTOP)
    await eventually(worker.is_stopped)
    await worker.end(0)


async def test_what_a_worker_writes_is_logged_by_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nprintf 'one\\r50%%\\r\\n\\nerr' >&2\nhead -c 5000 /dev/zero\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    lines: list[str] = []
    worker = await LocalLauncher().launch("fake", None, lines.append)
    assert await worker.wait() == "the worker exited with status 0"
    await worker.end(0)
    assert lines[:2] == ["one", "50%"]
    assert "".join(lines[2:]).startswith("err\0")
    assert max(map(len, lines)) <= 2000


async def test_a_folder_too_deep_for_a_socket_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(ModelLoadError, match="Set TMPDIR"):
        await LocalLauncher().launch("fake", None, lambda line: None)
    assert list(deep.iterdir()) == []


async def test_a_worker_that_cannot_be_started_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ModelLoadError, match="No such file"):
        await LocalLauncher().launch("fake", None, lambda line: None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines processes to cores")
async def test_a_worker_runs_on_its_cores_and_sees_its_gpus() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    placement = Placement(gpus=(2, 0), cores=(core,))
    worker = await LocalLauncher().launch("fake", None, print, placement)
    process = Path(f"/proc/{worker.pid}")
    try:
        assert f"Cpus_allowed_list:\t{core}\n" in (process / "status").read_text()
        environment = (process / "environ").read_bytes().split(b"\0")
        assert b"CUDA_VISIBLE_DEVICES=2,0" in environment
        assert b"CUDA_DEVICE_ORDER=PCI_BUS_ID" in environment
    finally:
        await worker.end(0)
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines processes to cores")
async def test_a_worker_counts_the_cores_that_it_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    count = "from codeserve.engines.cores import usable_cores; print(usable_cores())"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{count}'\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    lines: list[str] = []
    placement = Placement(cores=(min(os.sched_getaffinity(0)),))
    worker = await LocalLauncher().launch("fake", None, lines.append, placement)
    await worker.wait()
    await worker.end(0)
    assert lines == ["1"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines processes to cores")
async def test_cores_that_are_not_there_are_an_error() -> None:
    with pytest.raises(ModelLoadError, match="Invalid argument"):
        await LocalLauncher().launch("fake", None, print, Placement(cores=(100_000,)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a session's processes")
async def test_what_a_workers_engine_leaves_behind_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nsleep 1000 &\necho $!\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    lines: list[str] = []
    worker = await LocalLauncher().launch("fake", None, lines.append)
    assert await worker.wait() == "the worker exited with status 3"
    await worker.end(0)
    [pid] = map(int, lines)
    await eventually(lambda: not psutil.pid_exists(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a session's processes")
async def test_a_resource_tracker_may_finish_its_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    cleaned = tmp_path / "cleaned"
    begun = tmp_path / "begun"
    tracker = f"touch {begun}; sleep 0.3; touch {cleaned} # multiprocessing.resource_tracker"
    wait = f"while [ ! -e {begun} ]; do :; done"
    script.write_text(f"#!/bin/sh\nsh -c '{tracker}' >/dev/null 2>&1 &\n{wait}\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    worker = await LocalLauncher().launch("fake", None, print)
    await worker.wait()
    await worker.end(0)
    assert cleaned.exists()
