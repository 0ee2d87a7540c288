import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import pytest

from codeserve.app.manager.events import EventKind
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InvalidRequest, ModelUnavailable
from codeserve.engines.types import TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.segments import Content
from tests.eventually import eventually

FOREVER = 1000.0

Fake = Callable[..., ModelSettings]
Generate = Callable[..., Awaitable[TextStream]]


@pytest.fixture
def lazy(fake: Fake) -> Fake:
    """Makes the settings of fake models that load on demand."""

    def settings(model_id: str = "fake", idle: float | None = None, **options: object) -> Any:
        update = {"load": "on_demand", "idle_timeout": idle}
        return fake(model_id, **options).model_copy(update=update)

    return settings


def asking(manager: ModelManager, model_id: str = "fake") -> asyncio.Task[str]:
    """A request for a model, from its lease to its answer's end."""

    async def ask() -> str:
        async with manager.lease(model_id) as model:
            request = TextRequest(id=uuid.uuid4().hex, prompt=(Content("hello"),), max_tokens=3)
            stream = await model.generate(request)
            return "".join([delta.text async for delta in stream])

    return asyncio.create_task(ask())


async def test_a_model_on_demand_is_loaded_by_the_first_request_once_for_all_that_wait(
    manager: ModelManager, lazy: Fake, launcher: Any
) -> None:
    job = await manager.launch(lazy())
    assert manager.status("fake").state is ModelState.UNLOADED
    assert manager.job(job.id).state == "succeeded"
    assert launcher.workers == []
    first, second = asking(manager), asking(manager)
    await eventually(lambda: manager.status("fake").waiting == 2)
    assert [await first, await second] == ["All", "All"]
    assert len(launcher.workers) == 1
    assert manager.status("fake").state is ModelState.READY


async def test_an_idle_model_gives_its_memory_back_until_the_next_request(
    manager: ModelManager, lazy: Fake, launcher: Any
) -> None:
    await manager.launch(lazy(idle=0.2))
    for loads in (1, 2):
        assert await asking(manager) == "All"
        await eventually(lambda: manager.status("fake").state is ModelState.UNLOADED)
        assert len(launcher.workers) == loads
        assert not psutil.pid_exists(launcher.workers[-1].pid)
    status = manager.status("fake")
    assert status.memory_bytes is None
    assert status.last_used is not None
    reasons = [one.message for one in manager.events.recent() if one.state == "draining"]
    assert reasons == ["no request came for 0.2 s"] * 2


async def test_a_model_in_use_and_a_pinned_one_do_not_fall_idle(
    manager: ModelManager, lazy: Fake
) -> None:
    await manager.launch(lazy("busy", idle=0.05))
    await manager.launch(lazy("kept", idle=0.05).model_copy(update={"pinned": True}))
    await manager.launch(lazy("other", idle=0.05))
    await asking(manager, "kept")
    async with manager.lease("busy"):
        await asking(manager, "other")
        await eventually(lambda: manager.status("other").state is ModelState.UNLOADED)
        assert manager.status("busy").state is ModelState.READY
    assert manager.status("kept").state is ModelState.READY
    await eventually(lambda: manager.status("busy").state is ModelState.UNLOADED)
    assert not manager.pin("kept", False).pinned
    await eventually(lambda: manager.status("kept").state is ModelState.UNLOADED)
    kinds = [event.kind for event in manager.events.recent() if event.model == "kept"]
    assert EventKind.UNPINNED in kinds


async def test_a_model_is_unloaded_when_asked_to_and_its_worker_is_gone(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    status = await manager.unload("fake")
    assert status.state is ModelState.UNLOADED
    assert not psutil.pid_exists(launcher.workers[0].pid)
    assert (await manager.unload("fake")).state is ModelState.UNLOADED
    assert await asking(manager) == "All"


async def test_what_is_in_use_or_pinned_or_loading_is_not_unloaded(
    manager: ModelManager, fake: Fake
) -> None:
    await manager.launch(fake())
    await manager.launch(fake("slow", load_seconds=FOREVER))
    await manager.wait_ready("fake")
    async with manager.lease("fake"):
        with pytest.raises(InvalidRequest, match="in use by 1 request"):
            await manager.unload("fake")
    manager.pin("fake", True)
    with pytest.raises(InvalidRequest, match="pinned; unpin it first"):
        await manager.unload("fake")
    await eventually(lambda: manager.status("slow").phase == "weights")
    with pytest.raises(InvalidRequest, match="it is loading"):
        await manager.unload("slow")


async def test_requests_that_wait_are_told_why_a_load_failed(
    manager: ModelManager, lazy: Fake
) -> None:
    await manager.launch(lazy(fail_load="the disk is on fire"))
    waiting = [asking(manager), asking(manager)]
    for task in waiting:
        with pytest.raises(ModelUnavailable, match="failed: the disk is on fire"):
            await task
    job = await manager.launch(lazy())
    assert manager.job(job.id).state == "succeeded"
    assert await asking(manager) == "All"


async def test_a_request_waits_for_a_load_for_a_limited_time(
    launcher: Any, catalog: Catalog, lazy: Fake
) -> None:
    manager = ModelManager(ServerSettings(load_timeout=0.2), launcher, catalog)
    await manager.launch(lazy(load_seconds=FOREVER))
    with pytest.raises(ModelUnavailable, match=r"not loaded within 0\.2 s: loading") as error:
        await asking(manager)
    assert error.value.retry_after
    await manager.stop()


async def test_a_client_that_goes_away_waits_no_more_and_leaves_nothing(
    manager: ModelManager, lazy: Fake
) -> None:
    await manager.launch(lazy(load_seconds=0.3))
    leaving, staying = asking(manager), asking(manager)
    await eventually(lambda: manager.status("fake").waiting == 2)
    leaving.cancel()
    await eventually(lambda: manager.status("fake").waiting == 1)
    assert await staying == "All"
    assert (await manager.unload("fake")).state is ModelState.UNLOADED


async def test_a_worker_that_dies_during_a_load_on_demand_is_replaced_and_requests_still_wait(
    manager: ModelManager, lazy: Fake, launcher: Any
) -> None:
    await manager.launch(lazy(load_seconds=0.5))
    request = asking(manager)
    await eventually(lambda: manager.status("fake").phase == "weights")
    os.kill(launcher.workers[0].pid, signal.SIGKILL)
    assert await request == "All"
    assert manager.status("fake").restarts == 1


async def test_a_model_that_is_terminated_refuses_those_who_wait(
    manager: ModelManager, lazy: Fake
) -> None:
    await manager.launch(lazy(load_seconds=FOREVER))
    request = asking(manager)
    await eventually(lambda: manager.status("fake").phase == "weights")
    await manager.terminate("fake")
    with pytest.raises(ModelUnavailable):
        await request
    assert manager.models() == []
