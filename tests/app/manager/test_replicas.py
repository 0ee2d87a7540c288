"""A model with two real workers."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.engines.worker.client import TextStream
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
