"""vLLM runs in processes of its own, which share memory: none of it may outlive a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from codeserve.app.manager.launcher import LocalLauncher, LocalWorker
from codeserve.engines.errors import ModelUnavailable
from codeserve.engines.types import EngineConfig, TextRequest
from codeserve.engines.worker.client import WorkerClient
from codeserve.model_specs.segments import Content
from tests.eventually import eventually

SHARED_MEMORY = "/dev/shm/"
LEFT_SECONDS = 5

Family = tuple[list[psutil.Process], set[Path]]
"""Processes, and the files of shared memory that they use."""


def a_config(folder: Path) -> EngineConfig:
    return EngineConfig(
        engine="vllm", path=str(folder), context_length=512, options={"dtype": "float32"}
    )


def family_of(pid: int) -> Family:
    worker = psutil.Process(pid)
    family = [worker, *worker.children(recursive=True)]
    return family, {path for process in family for path in shared_by(process)}


def shared_by(process: psutil.Process) -> set[Path]:
    """Those that have a name still."""
    mapped = {region.path for region in process.memory_maps(grouped=False)}
    return {Path(name) for name in mapped if name.startswith(SHARED_MEMORY) and Path(name).exists()}


async def assert_gone(family: Family) -> None:
    """No process and no shared memory of ``family`` is left after 5 s."""
    processes, shared = family
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=LEFT_SECONDS)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not [path for path in shared if path.exists()]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[LocalWorker, WorkerClient]]:
    """A worker that is in the middle of a long answer."""
    worker = await LocalLauncher().launch("vllm", None, print)
    try:
        client = await WorkerClient.connect(worker.address)
        await client.load(a_config(folder), lambda phase, fraction: None)
        request = TextRequest(id="r", prompt=(Content("x = 1\n"),), ignore_eos=True)
        stream = await client.generate(request)
        await anext(aiter(stream))
        yield worker, client
        await client.close()
    finally:
        await worker.end(0)


async def test_a_worker_that_is_told_to_end_leaves_nothing_either(
    tiny_deepseek_folder: Path,
) -> None:
    async with serving(tiny_deepseek_folder) as (worker, client):
        family = family_of(worker.pid)
        processes, shared = family
        assert len(processes) >= 3, "the engine's core and its worker have processes of their own"
        assert shared, "and share memory"
        client.shut_down(ModelUnavailable("The test is over."))
        await worker.end(LEFT_SECONDS)
        await assert_gone(family)


async def test_a_stop_of_vllms_core_shows_and_its_end_is_an_error_that_ends_the_worker(
    tiny_deepseek_folder: Path,
) -> None:
    async with serving(tiny_deepseek_folder) as (worker, _):
        family = family_of(worker.pid)
        children = psutil.Process(worker.pid).children()
        [core] = [child for child in children if "resource_tracker" not in str(child.cmdline())]
        assert not worker.is_stopped()
        core.suspend()
        await eventually(worker.is_stopped)
        core.kill()
        assert await worker.wait() == "the worker exited with status 1"
        await assert_gone(family)
