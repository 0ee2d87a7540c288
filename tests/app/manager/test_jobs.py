"""Launches and restarts as jobs, and what becomes of a model meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from codeserve.app.manager.jobs import JobState
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InvalidRequest, ModelNotFound, NothingStored
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.store import Store
from tests.app.manager.stand_in import StandInLauncher
from tests.eventually import eventually

FOREVER = 1000.0

Fake = Callable[..., ModelSettings]


@pytest.fixture
def stand_ins() -> Any:
    launcher = StandInLauncher()
    yield launcher
    launcher.close()


@pytest.fixture
async def manager(stand_ins: StandInLauncher, catalog: Catalog) -> AsyncIterator[ModelManager]:
    policy = RestartPolicy(first_delay=0.01, longest_delay=0.02)
    manager = ModelManager(ServerSettings(drain_timeout=5.0), stand_ins, catalog, policy)
    yield manager
    await manager.stop()
    assert stand_ins.alive == []


async def test_a_launch_is_a_job_that_can_be_watched_to_its_end(
    manager: ModelManager, fake: Fake
) -> None:
    job = await manager.launch(fake(load_seconds=0.3))
    assert (job.model, job.state) == ("fake", JobState.RUNNING)
    seen = [moment async for moment in manager.watch(job.id)]
    assert {moment.id for moment in seen} == {job.id}
    assert "weights" in [moment.phase for moment in seen]
    assert seen[-1].state is JobState.SUCCEEDED
    assert seen[-1].ended is not None
    assert manager.job(job.id) == manager.job_of("fake") == seen[-1]
    assert manager.jobs() == (seen[-1],)


async def test_a_launch_that_fails_is_a_job_that_says_why(
    manager: ModelManager, fake: Fake
) -> None:
    job = await manager.launch(fake(fail_load="the disk is on fire"))
    [*_, last] = [moment async for moment in manager.watch(job.id)]
    assert (last.state, last.error) == (JobState.FAILED, "the disk is on fire")


async def test_a_launch_of_what_is_there_gives_its_job(manager: ModelManager, fake: Fake) -> None:
    job = await manager.launch(fake(load_seconds=0.1))
    same, again = await asyncio.gather(
        manager.launch(fake(load_seconds=0.1)), manager.launch(fake(load_seconds=0.1))
    )
    await manager.wait_ready("fake")
    ready = await manager.launch(fake(load_seconds=0.1))
    assert {job.id, same.id, again.id, ready.id} == {job.id}
    assert ready.state is JobState.SUCCEEDED


async def test_launches_of_one_id_at_the_same_time_are_one(
    manager: ModelManager, fake: Fake, stand_ins: StandInLauncher
) -> None:
    jobs = await asyncio.gather(*(manager.launch(fake()) for _ in range(5)))
    await manager.wait_ready("fake")
    assert len({job.id for job in jobs}) == 1
    assert len(stand_ins.workers) == 1


async def test_a_cancelled_launch_leaves_no_model_and_no_worker(
    manager: ModelManager, fake: Fake, stand_ins: StandInLauncher
) -> None:
    job = await manager.launch(fake(load_seconds=FOREVER))
    await eventually(lambda: manager.status("fake").phase == "weights")
    assert (await manager.cancel(job.id)).state is JobState.CANCELLED
    assert manager.models() == []
    assert stand_ins.alive == []
    with pytest.raises(ModelNotFound):
        manager.status("fake")
    with pytest.raises(InvalidRequest, match="has cancelled already"):
        await manager.cancel(job.id)
    await manager.launch(fake())
    assert (await manager.wait_ready("fake")).state is ModelState.READY


async def test_a_cancelled_launch_stops_its_download_and_tells_how_far_it_was(
    manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pull(store: Store, sources: object, progress: Callable[[int, int | None], None]) -> None:
        try:
            for done in range(10**6):
                progress(done, 10**6)
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(Store, "pull", pull)
    monkeypatch.setattr(Store, "find", lambda store, sources: None)
    model = ModelSettings(
        id="far",
        model_name="deepseek-coder-instruct",
        size_in_billions="6_7",
        model_format="ggufv2",
        quantization="Q4_K_M",
    )
    job = await manager.launch(model)
    await eventually(lambda: manager.job(job.id).bytes_per_second)
    running = manager.job(job.id)
    assert (running.phase, running.bytes_total) == ("downloading", 10**6)
    assert running.seconds_left is not None
    await manager.cancel(job.id)
    await ended.wait()
    assert manager.models() == []


async def test_what_does_not_exist_is_not_found(manager: ModelManager) -> None:
    with pytest.raises(NothingStored, match="no job 'nothing'"):
        manager.job("nothing")
    with pytest.raises(NothingStored):
        manager.watch("nothing")
    with pytest.raises(NothingStored):
        manager.job_of("nothing")
    with pytest.raises(ModelNotFound):
        await manager.restart("nothing")


async def test_a_ready_model_finishes_what_is_leased_and_is_loaded_again(
    manager: ModelManager, fake: Fake, stand_ins: StandInLauncher
) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    async with manager.lease("fake"):
        job = await manager.restart("fake")
        assert manager.status("fake").state is ModelState.DRAINING
        assert len(stand_ins.alive) == 1
    [*_, last] = [moment async for moment in manager.watch(job.id)]
    assert last.state is JobState.SUCCEEDED
    assert manager.status("fake").state is ModelState.READY
    assert len(stand_ins.workers) == 2


async def test_a_model_that_is_loading_begins_anew(
    manager: ModelManager, fake: Fake, stand_ins: StandInLauncher
) -> None:
    first = await manager.launch(fake(load_seconds=0.5))
    await eventually(lambda: manager.status("fake").phase == "weights")
    second = await manager.restart("fake")
    assert manager.job(first.id).state is JobState.CANCELLED
    [*_, last] = [moment async for moment in manager.watch(second.id)]
    assert last.state is JobState.SUCCEEDED
    assert [worker.lives for worker in stand_ins.workers] == [False, True]


async def test_a_failed_model_is_tried_again(manager: ModelManager, fake: Fake) -> None:
    await manager.launch(fake(fail_load="the disk is on fire"))
    await manager.wait_ready("fake")
    job = await manager.restart("fake")
    [*_, last] = [moment async for moment in manager.watch(job.id)]
    assert last.state is JobState.FAILED


async def test_a_model_on_demand_is_unloaded_by_a_restart(
    manager: ModelManager, fake: Fake, stand_ins: StandInLauncher
) -> None:
    await manager.launch(fake().model_copy(update={"load": "on_demand"}))
    async with manager.lease("fake"):
        pass
    job = await manager.restart("fake")
    [*_, last] = [moment async for moment in manager.watch(job.id)]
    assert last.state is JobState.SUCCEEDED
    assert manager.status("fake").state is ModelState.UNLOADED
    assert stand_ins.alive == []


async def test_a_model_that_waits_for_its_restart_begins_at_once(
    stand_ins: StandInLauncher, catalog: Catalog, fake: Fake
) -> None:
    policy = RestartPolicy(first_delay=FOREVER)
    manager = ModelManager(ServerSettings(), stand_ins, catalog, policy)
    await manager.launch(fake())
    await manager.wait_ready("fake")
    stand_ins.workers[0].die("the worker was killed by SIGKILL")
    await eventually(lambda: manager.status("fake").state is ModelState.RESTARTING)
    await manager.restart("fake")
    await eventually(lambda: manager.status("fake").state is ModelState.READY)
    await manager.stop()


async def test_a_model_that_is_restarted_while_it_is_unloaded_is_loaded(
    manager: ModelManager, fake: Fake
) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    unloading = asyncio.create_task(manager.unload("fake"))
    await asyncio.sleep(0)
    assert manager.status("fake").state is ModelState.DRAINING
    job = await manager.restart("fake")
    [*_, last] = [moment async for moment in manager.watch(job.id)]
    assert last.state is JobState.SUCCEEDED
    assert (await unloading).state is ModelState.READY


async def test_events_and_logs_tell_what_happened(manager: ModelManager, fake: Fake) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    assert manager.log("fake").recent() == ()
    manager.pin("fake", True)
    await manager.terminate("fake")
    told = [(event.kind, event.state) for event in manager.events.recent()]
    assert told == [
        ("launched", "pending"),
        ("state", "loading"),
        ("state", "proving"),
        ("state", "ready"),
        ("pinned", "ready"),
        ("state", "draining"),
        ("state", "stopped"),
        ("terminated", "stopped"),
    ]
