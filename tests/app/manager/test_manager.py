import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import (
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
)
from codeserve.engines.types import TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.segments import Content
from tests.eventually import eventually

FOREVER = 1000.0

Fake = Callable[..., ModelSettings]
Generate = Callable[..., Awaitable[TextStream]]


async def read(stream: TextStream) -> str:
    return "".join([delta.text async for delta in stream])


async def test_a_launched_model_becomes_ready_and_serves(
    manager: ModelManager, fake: Fake, generate: Generate
) -> None:
    await manager.launch(fake(script="0123456789"))
    assert manager.status("fake").state is ModelState.PENDING
    status = await manager.wait_ready("fake")
    assert status.state is ModelState.READY
    assert status.info is not None
    assert status.info.engine == "fake"
    assert await read(await generate(max_tokens=12)) == "012345678901"


async def test_a_launch_of_what_is_there_starts_no_second_worker(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    for _ in range(3):
        await manager.launch(fake())
    await manager.wait_ready("fake")
    await manager.launch(fake())
    assert len(launcher.workers) == 1


async def test_an_id_belongs_to_one_model(manager: ModelManager, fake: Fake) -> None:
    await manager.launch(fake())
    with pytest.raises(InvalidRequest, match="other settings"):
        await manager.launch(fake(script="another"))


async def test_settings_that_cannot_work_are_refused_at_once(manager: ModelManager) -> None:
    with pytest.raises(InvalidRequest, match="Did you mean deepseek-coder"):
        await manager.launch(ModelSettings(model_name="deepseek-codr"))
    assert manager.models() == []


async def test_the_status_tells_what_was_launched_and_how_far_it_is(
    manager: ModelManager, fake: Fake
) -> None:
    await manager.launch(fake(load_seconds=FOREVER))
    await eventually(lambda: manager.status("fake").phase == "weights")
    (status,) = manager.models()
    assert status.state is ModelState.LOADING
    assert status.progress == 0.0
    assert status.spec["engine"] == "fake"
    with pytest.raises(ModelUnavailable, match=r"loading \(weights, 0%\)") as error:
        async with manager.lease("fake"):
            pass
    assert error.value.retry_after


async def test_an_unknown_model_is_not_found_and_near_names_are_given(
    manager: ModelManager, fake: Fake
) -> None:
    await manager.launch(fake("coder-6.7b"))
    with pytest.raises(ModelNotFound, match=r"Did you mean 'coder-6.7b'\?"):
        manager.lease("coder-67b")
    with pytest.raises(ModelNotFound):
        manager.status("nothing like it")


async def test_a_leased_model_knows_its_prompts(manager: ModelManager, fake: Fake) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    async with manager.lease("fake") as model:
        assert model.prompts.can_chat
        assert not model.prompts.can_fill
        assert model.info.variant.family == "fake"


async def test_a_terminated_model_finishes_what_is_leased_and_is_forgotten(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    await manager.launch(fake(step_seconds=0.01))
    await manager.wait_ready("fake")
    async with manager.lease("fake") as model:
        stream = await model.generate(
            TextRequest(id="1", prompt=(Content("hello"),), max_tokens=20)
        )
        ending = asyncio.create_task(manager.terminate("fake"))
        await eventually(lambda: manager.status("fake").state is ModelState.DRAINING)
        with pytest.raises(ModelUnavailable, match="draining"):
            async with manager.lease("fake"):
                pass
        with pytest.raises(ModelUnavailable, match="is being stopped"):
            await manager.launch(fake())
        assert len(await read(stream)) == 20
    await ending
    assert manager.models() == []
    assert await launcher.workers[0].wait() == "the worker exited with status 0"


async def test_what_is_not_done_when_the_time_to_drain_is_up_fails(
    launcher: Any, catalog: Catalog, fake: Fake
) -> None:
    manager = ModelManager(ServerSettings(drain_timeout=0.0), launcher, catalog)
    await manager.launch(fake(step_seconds=0.01))
    await manager.wait_ready("fake")
    async with manager.lease("fake") as model:
        stream = await model.generate(TextRequest(id="1", prompt=(Content("hello"),)))
        await manager.terminate("fake")
        with pytest.raises(ModelUnavailable, match="stopped before"):
            await read(stream)


@pytest.mark.parametrize("options", [{"load_seconds": FOREVER}, {"fail_load": "broken"}, {}])
async def test_a_model_can_be_terminated_in_every_state(
    manager: ModelManager,
    fake: Fake,
    launcher: Any,
    options: dict[str, object],
) -> None:
    await manager.launch(fake(**options))
    await eventually(lambda: launcher.workers)
    await manager.terminate("fake")
    assert manager.models() == []
    await manager.launch(fake())
    assert (await manager.wait_ready("fake")).state is ModelState.READY


async def test_a_stopped_manager_has_no_worker_and_launches_none(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    await manager.launch(fake("one"))
    await manager.launch(fake("two", load_seconds=FOREVER))
    await manager.wait_ready("one")
    await eventually(lambda: len(launcher.workers) == 2)
    await manager.stop()
    assert {status.state for status in manager.models()} == {ModelState.STOPPED}
    for worker in launcher.workers:
        assert "the worker" in await worker.wait()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        await manager.launch(fake("three"))
