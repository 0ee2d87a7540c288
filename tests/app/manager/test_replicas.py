"""A model with two real workers."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.types import TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.segments import Content
from tests.app.manager.conftest import RecordingLauncher
from tests.eventually import eventually

Fake = Callable[..., ModelSettings]
Generate = Callable[..., Awaitable[TextStream]]


@pytest.fixture
def twins(fake: Fake) -> ModelSettings:
    return fake().model_copy(update={"replica": 2})


async def read(stream: TextStream) -> str:
    return "".join([delta.text async for delta in stream])


async def test_a_model_with_a_replica_left_stays_ready_and_serves(
    manager: ModelManager, twins: ModelSettings, generate: Generate, launcher: Any
) -> None:
    await manager.launch(twins)
    await eventually(lambda: manager.status("fake").replicas_ready == 2)
    assert manager.status("fake").replicas == 2
    os.kill(launcher.workers[0].pid, signal.SIGKILL)
    await eventually(lambda: manager.status("fake").restarts == 1)
    assert manager.status("fake").state is ModelState.READY
    assert await read(await generate(max_tokens=3)) == "All"
    await eventually(lambda: manager.status("fake").replicas_ready == 2)
    states = [event.state for event in manager.events.recent()]
    assert "restarting" not in states


async def test_a_model_without_a_replica_left_restarts(
    manager: ModelManager, twins: ModelSettings, generate: Generate, launcher: Any
) -> None:
    await manager.launch(twins)
    await eventually(lambda: manager.status("fake").replicas_ready == 2)
    for worker in launcher.workers[:2]:
        os.kill(worker.pid, signal.SIGKILL)
    await eventually(lambda: manager.status("fake").restarts == 2)
    await manager.wait_ready("fake")
    assert await read(await generate(max_tokens=3)) == "All"
    assert "restarting" in [event.state for event in manager.events.recent()]


async def test_a_replica_that_stands_still_gets_no_requests(
    twins: ModelSettings,
    launcher: RecordingLauncher,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("codeserve.app.manager.watchdog.SILENT_SECONDS", 3.0)
    manager = ModelManager(ServerSettings(heartbeat_timeout=600.0), launcher, catalog)
    try:
        await manager.launch(twins)
        await eventually(lambda: manager.status("fake").replicas_ready == 2)
        for worker in launcher.workers:
            os.kill(worker.pid, signal.SIGSTOP)
        await eventually(lambda: manager.status("fake").stalled)
        os.kill(launcher.workers[1].pid, signal.SIGCONT)
        await eventually(lambda: not manager.status("fake").stalled)
        async with asyncio.timeout(30), manager.lease("fake") as model:
            for number in "123":
                ask = TextRequest(id=number, prompt=(Content("hello"),), max_tokens=3)
                assert await read(await model.generate(ask)) == "All"
            assert (await model.tokenize((Content("hi"),))).token_ids
    finally:
        manager.drain.cut_short()
        await manager.stop()
