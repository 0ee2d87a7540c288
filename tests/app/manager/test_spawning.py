import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.app.manager.spawning import HeadStart, head_start
from codeserve.engines.errors import ModelLoadError
from tests.e2e.waiting import wait_until


@asynccontextmanager
async def launched(
    ahead: HeadStart, python: str | None = None, placement: Placement = ANYWHERE
) -> AsyncIterator[psutil.Process]:
    """The process of a launched worker for the fake engine, which has become its own program."""
    worker = await LocalLauncher(ahead).launch("fake", python, print, placement)
    try:
        process = psutil.Process(worker.pid)
        wait_until(lambda: process.environ() != {}, "the worker's start")
        yield process
    finally:
        await worker.end(0)


async def test_the_first_model_takes_the_worker_that_runs_already() -> None:
    with head_start("fake") as ahead:
        launcher = LocalLauncher(ahead)
        first = await launcher.launch("fake", None, lambda line: None)
        second = await launcher.launch("fake", None, lambda line: None)
    assert psutil.pid_exists(first.pid)
    assert first.pid != second.pid
    await first.end(0)
    await second.end(0)


async def test_a_worker_for_another_engine_is_ended() -> None:
    before = set(psutil.Process().children())
    with head_start("llama.cpp") as ahead:
        [spare] = set(psutil.Process().children()) - before
        async with launched(ahead):
            assert not spare.is_running()


def test_a_worker_that_nobody_takes_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    before = set(psutil.Process().children())
    with head_start("fake"):
        [process] = set(psutil.Process().children()) - before
        assert [*folder.iterdir()]
    assert not process.is_running()
    assert not [*folder.iterdir()]


async def test_without_a_head_start_the_first_model_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with head_start("fake") as ahead, pytest.raises(ModelLoadError, match="No such file"):
        await LocalLauncher(ahead).launch("fake", None, lambda line: None)


async def test_a_worker_on_another_interpreter_is_ended(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    before = set(psutil.Process().children())
    with head_start("fake") as ahead:
        [spare] = set(psutil.Process().children()) - before
        async with launched(ahead, str(python)) as process:
            assert not spare.is_running()
            assert process.cmdline()[0] == str(python)


async def test_where_none_is_of_use_none_is_started() -> None:
    before = set(psutil.Process().children())
    with head_start(None) as ahead:
        assert set(psutil.Process().children()) == before
        async with launched(ahead) as process:
            assert process not in before


async def test_a_model_with_a_place_of_its_own_ends_the_worker_that_runs_already() -> None:
    before = set(psutil.Process().children())
    with head_start("fake") as ahead:
        [spare] = set(psutil.Process().children()) - before
        async with launched(ahead, placement=Placement(gpus=())) as process:
            assert not spare.is_running()
            assert process.environ()["CUDA_VISIBLE_DEVICES"] == ""
