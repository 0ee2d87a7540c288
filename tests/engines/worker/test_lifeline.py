import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.eventually import eventually

PARENT = """
import asyncio
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.engines.types import EngineConfig
from codeserve.engines.worker.client import WorkerClient

async def main():
    worker = await LocalLauncher().launch("fake", None, lambda line: None)
    client = await WorkerClient.connect(worker.address)
    config = EngineConfig(engine="fake", path="/nowhere", options={options})
    loading = asyncio.create_task(client.load(config, lambda phase, fraction: None))
    if {wait}:
        await loading
    print(worker.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

WAITING = """
import time
from codeserve.app.manager.spawning import head_start

with head_start("fake"):
    time.sleep(1000)
"""


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def orphan(
    options: dict[str, object], *, wait: bool, before: Callable[[int], None] = lambda pid: None
) -> int:
    """The pid of a worker whose parent was killed, after ``before`` was called with it."""
    script = PARENT.replace("{options}", repr(options)).replace("{wait}", repr(wait))
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    before(pid)
    parent.kill()
    await parent.wait()
    return pid


async def test_a_serving_worker_dies_with_its_parent() -> None:
    pid = await orphan({}, wait=True)
    await eventually(lambda: is_gone(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills for a process that cannot")
async def test_a_worker_that_is_stopped_dies_with_its_parent() -> None:
    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)

    pid = await orphan({}, wait=True, before=stop)
    await eventually(lambda: is_gone(pid))


async def test_a_loading_worker_dies_with_its_parent() -> None:
    pid = await orphan({"load_seconds": 100.0}, wait=False)
    await eventually(lambda: is_gone(pid))


async def test_a_worker_exits_when_its_standard_input_ends(tmp_path: object) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "codeserve.engines.worker"),
        *("--engine", "fake", "--socket", f"{tmp_path}/socket"),
        stdin=subprocess.PIPE,
    )
    assert worker.stdin is not None
    worker.stdin.close()
    assert await worker.wait() == 1


async def test_a_worker_without_a_connection_dies_with_its_parent_and_leaves_no_folder(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("t")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WAITING), env={**os.environ, "TMPDIR": str(folder)}
    )
    await eventually(lambda: [*folder.glob("*/worker.sock")])
    [worker] = psutil.Process(parent.pid).children()
    parent.kill()
    await parent.wait()
    await eventually(lambda: is_gone(worker.pid))
    assert not [*folder.iterdir()]
