"""Models that share too little room, with real workers."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.residency import Limits
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import ModelUnavailable
from codeserve.model_specs.catalog import Catalog
from tests.eventually import eventually

Fake = Callable[..., ModelSettings]


@pytest.fixture
async def crowded(launcher: Any, catalog: Catalog) -> Any:
    """A manager with room for two models, which take turns soon."""
    turns = Limits(patience=0.3, residence=0.1, lull=0.05)
    manager = ModelManager(ServerSettings(max_loaded=2), launcher, catalog, turns=turns)
    yield manager
    await manager.stop()


@pytest.fixture
def lazy(fake: Fake) -> Fake:
    def settings(model_id: str, **update: object) -> ModelSettings:
        return fake(model_id).model_copy(update={"load": "on_demand", **update})

    return settings


async def use(manager: ModelManager, model_id: str) -> None:
    async with manager.lease(model_id):
        pass


def state(manager: ModelManager, model_id: str) -> ModelState:
    return manager.status(model_id).state


async def test_the_least_recently_used_model_makes_room(
    crowded: ModelManager, lazy: Fake, launcher: Any
) -> None:
    for model_id in ("old", "new", "next"):
        await crowded.launch(lazy(model_id))
    await use(crowded, "old")
    await use(crowded, "new")
    await use(crowded, "next")
    assert state(crowded, "old") is ModelState.UNLOADED
    assert state(crowded, "new") is ModelState.READY
    assert [psutil.pid_exists(worker.pid) for worker in launcher.workers] == [False, True, True]


async def test_a_pinned_model_stays_although_it_was_used_first(
    crowded: ModelManager, lazy: Fake
) -> None:
    await crowded.launch(lazy("pinned", pinned=True))
    await crowded.launch(lazy("other"))
    await crowded.launch(lazy("next"))
    for model_id in ("pinned", "other", "next"):
        await use(crowded, model_id)
    assert state(crowded, "pinned") is ModelState.READY
    assert state(crowded, "other") is ModelState.UNLOADED


async def test_busy_models_are_waited_for_and_refuse_to_begin_more(
    crowded: ModelManager, lazy: Fake
) -> None:
    for model_id in ("one", "two", "next"):
        await crowded.launch(lazy(model_id))
    async with AsyncExitStack() as leases:
        await leases.enter_async_context(crowded.lease("one"))
        await leases.enter_async_context(crowded.lease("two"))
        waiting = asyncio.create_task(use(crowded, "next"))
        await asyncio.wait([waiting], timeout=0.6)
        assert state(crowded, "one") is ModelState.READY
        assert state(crowded, "two") is ModelState.READY
        assert state(crowded, "next") is ModelState.UNLOADED
        assert crowded.status("next").phase == "waiting for memory"
    await waiting
    assert state(crowded, "next") is ModelState.READY


async def test_a_request_for_a_model_that_gives_way_comes_after_the_one_that_waited(
    crowded: ModelManager, lazy: Fake
) -> None:
    order: list[str] = []

    async def note(model_id: str) -> None:
        async with crowded.lease(model_id):
            order.append(model_id)

    await crowded.launch(lazy("kept", pinned=True))
    await crowded.launch(lazy("one"))
    await crowded.launch(lazy("two"))
    await use(crowded, "kept")
    async with crowded.lease("one"):
        second = asyncio.create_task(note("two"))
        await asyncio.wait([second], timeout=0.6)
        late = asyncio.create_task(note("one"))
        await eventually(lambda: crowded.status("one").waiting == 1)
    await asyncio.gather(second, late)
    assert order == ["two", "one"]


async def test_a_model_that_can_get_no_room_says_so_and_can_be_asked_for_again(
    crowded: ModelManager, lazy: Fake
) -> None:
    for model_id in ("one", "two"):
        await crowded.launch(lazy(model_id, pinned=True))
        await use(crowded, model_id)
    await crowded.launch(lazy("next"))
    with pytest.raises(ModelUnavailable, match="max_loaded"):
        await use(crowded, "next")
    assert state(crowded, "next") is ModelState.UNLOADED
    crowded.pin("one", False)
    await use(crowded, "next")
    assert state(crowded, "one") is ModelState.UNLOADED


async def test_a_launch_that_can_get_no_room_fails_with_the_reason(
    crowded: ModelManager, fake: Fake, lazy: Fake
) -> None:
    for model_id in ("one", "two"):
        await crowded.launch(lazy(model_id, pinned=True))
        await use(crowded, model_id)
    await crowded.launch(fake("next"))
    status = await crowded.wait_ready("next")
    assert status.state is ModelState.FAILED
    assert "max_loaded" in str(status.error)
    assert crowded.job_of("next").state == "failed"
