import logging
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import EMBEDDED_MODEL, ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import (
    EngineFailure,
    EngineRestarted,
    ModelUnavailable,
)
from codeserve.engines.types import SamplingParams, TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.catalog import Catalog
from tests.eventually import eventually

FOREVER = 1000.0

Fake = Callable[..., ModelSettings]
Generate = Callable[..., Awaitable[TextStream]]


async def read(stream: TextStream) -> str:
    return "".join([delta.text async for delta in stream])


async def test_a_model_that_cannot_be_loaded_fails_with_the_cause(
    manager: ModelManager, fake: Fake, launcher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await manager.launch(fake(fail_load="the disk is on fire"))
        status = await manager.wait_ready("fake")
    assert "launched (pending)" in caplog.text
    (grave,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert grave.getMessage() == "failed: the disk is on fire"
    assert vars(grave)["model"] == "fake"
    assert status.state is ModelState.FAILED
    assert status.error == "the disk is on fire"
    assert len(launcher.workers) == 1
    with pytest.raises(ModelUnavailable, match="failed: the disk is on fire") as error:
        async with manager.lease("fake"):
            pass
    assert error.value.retry_after is None


async def test_an_option_that_the_engine_does_not_know_fails_the_model(
    manager: ModelManager, fake: Fake
) -> None:
    await manager.launch(fake(spped=1))
    assert "spped" in str((await manager.wait_ready("fake")).error)


async def test_weights_that_are_missing_fail_before_a_worker_is_started(
    manager: ModelManager, launcher: Any, tmp_path: Path
) -> None:
    await manager.launch(ModelSettings(id="mine", path=tmp_path / "mine.gguf"))
    status = await manager.wait_ready("mine")
    assert status.state is ModelState.FAILED
    assert "There are no weights at" in str(status.error)
    assert launcher.workers == []


async def test_a_failed_model_can_be_launched_again(manager: ModelManager, fake: Fake) -> None:
    await manager.launch(fake(fail_load="the disk is on fire"))
    await manager.wait_ready("fake")
    await manager.launch(fake())
    assert (await manager.wait_ready("fake")).state is ModelState.READY


async def test_workers_that_die_while_loading_are_given_up_with_the_reason(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    def has_launched(workers: int) -> bool:
        return len(launcher.workers) == workers

    await manager.launch(fake(load_seconds=FOREVER))
    for attempts in (1, 2, 3):
        await eventually(partial(has_launched, attempts))
        await eventually(lambda: manager.status("fake").phase == "weights")
        os.kill(launcher.workers[-1].pid, signal.SIGILL)
    status = await manager.wait_ready("fake")
    assert status.state is ModelState.FAILED
    assert "SIGILL: the engine's native code uses an instruction" in str(status.error)
    assert any("Illegal instruction" in line for line in status.log_tail)
    assert len(launcher.workers) == 3


async def test_a_model_that_does_not_prove_itself_fails_and_names_the_vector(
    manager: ModelManager, tmp_path: Path, third_party_engine: str
) -> None:
    await manager.launch(ModelSettings(id="wrong", engine=third_party_engine, path=tmp_path))
    status = await manager.wait_ready("wrong")
    assert status.state is ModelState.FAILED
    assert "'def' becomes [100, 101, 102] instead of [1, 2, 3]" in str(status.error)


async def test_a_killed_worker_fails_its_requests_and_is_replaced(
    manager: ModelManager,
    fake: Fake,
    generate: Generate,
    launcher: Any,
) -> None:
    await manager.launch(fake(step_seconds=0.005))
    await manager.wait_ready("fake")
    stream = await generate()
    await anext(stream)
    os.kill(launcher.workers[0].pid, signal.SIGKILL)
    with pytest.raises(EngineRestarted):
        await read(stream)
    await eventually(lambda: len(launcher.workers) == 2)
    status = await manager.wait_ready("fake")
    assert status.state is ModelState.READY
    assert status.restarts == 1
    assert "SIGKILL" in str(status.error)
    assert await read(await generate(max_tokens=3)) == "All"


async def test_a_stopped_worker_is_killed_and_replaced(
    manager: ModelManager,
    fake: Fake,
    generate: Generate,
    launcher: Any,
) -> None:
    await manager.launch(fake())
    await manager.wait_ready("fake")
    os.kill(launcher.workers[0].pid, signal.SIGSTOP)
    await eventually(lambda: len(launcher.workers) == 2)
    status = await manager.wait_ready("fake")
    assert status.error == "the worker hung: no heartbeat for 3 s"
    assert await read(await generate(max_tokens=3)) == "All"


async def test_loading_that_stands_still_fails_as_other_loads_do_where_there_is_a_bound(
    manager: ModelManager, fake: Fake, launcher: Any
) -> None:
    settings = fake(load_seconds=3600.0).model_copy(update={"load_stall_timeout": 1.0})
    await manager.launch(settings)
    status = await manager.wait_ready("fake")
    assert status.state is ModelState.FAILED
    assert status.error is not None
    assert re.fullmatch(
        r"No worker survives loading the model: loading hung: (starting|weights) stayed at 0% "
        "for 1 s, the model's load_stall_timeout",
        status.error,
    )
    assert len(launcher.workers) == 3
    assert not any(psutil.pid_exists(worker.pid) for worker in launcher.workers)


async def test_an_engine_that_hangs_is_killed_and_replaced(
    manager: ModelManager, fake: Fake, generate: Generate, launcher: Any
) -> None:
    await manager.launch(fake(hang_after=5))
    await manager.wait_ready("fake")
    with pytest.raises(EngineRestarted, match="no step completed for 3 s with 1 requests"):
        await read(await generate())


async def test_an_engine_that_breaks_fails_its_requests_and_is_replaced(
    manager: ModelManager,
    fake: Fake,
    generate: Generate,
    launcher: Any,
) -> None:
    await manager.launch(fake(fail_after=5))
    await manager.wait_ready("fake")
    with pytest.raises(EngineFailure, match="told to fail"):
        await read(await generate())
    await eventually(lambda: len(launcher.workers) == 2)
    status = await manager.wait_ready("fake")
    assert status.state is ModelState.READY
    assert status.error == "the worker exited with status 1"


async def test_a_model_that_waits_for_its_restart_says_why(
    launcher: Any, catalog: Catalog, fake: Fake
) -> None:
    policy = RestartPolicy(first_delay=FOREVER)
    manager = ModelManager(ServerSettings(), launcher, catalog, policy)
    await manager.launch(fake())
    await manager.wait_ready("fake")
    os.kill(launcher.workers[0].pid, signal.SIGKILL)
    await eventually(lambda: manager.status("fake").state is ModelState.RESTARTING)
    with pytest.raises(ModelUnavailable, match="restarting: the worker was killed by SIGKILL"):
        async with manager.lease("fake"):
            pass
    await manager.stop()
    assert manager.status("fake").state is ModelState.STOPPED


async def test_the_log_tail_of_a_worker_is_kept_after_its_end(
    manager: ModelManager, tmp_path: Path, third_party_engine: str
) -> None:
    await manager.launch(ModelSettings(id="wrong", engine=third_party_engine, path=tmp_path))
    status = await manager.wait_ready("wrong")
    assert status.log_tail == ("the weights look odd",)


async def test_the_embedded_model_is_found_proved_and_served(
    launcher: Any, catalog: Catalog
) -> None:
    manager = ModelManager(ServerSettings(), launcher, catalog)
    await manager.launch(EMBEDDED_MODEL)
    status = await manager.wait_ready(EMBEDDED_MODEL.id)
    assert status.state is ModelState.READY, status.error
    assert status.info is not None
    assert status.info.variant.family == "smollm2-instruct"
    async with manager.lease(EMBEDDED_MODEL.id) as model:
        greedy = SamplingParams(temperature=0.0)
        prompt = model.prompts.raw("The capital of France is")
        request = TextRequest(id="1", prompt=prompt, max_tokens=2, sampling=greedy)
        assert "Paris" in await read(await model.generate(request))
    await manager.stop()


async def test_a_file_that_is_no_gguf_fails_the_model(
    manager: ModelManager, tmp_path: Path
) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"not a model" * 100)
    await manager.launch(ModelSettings(id="mine", path=path))
    status = await manager.wait_ready("mine")
    assert status.state is ModelState.FAILED
    assert "mine.gguf" in str(status.error)


async def test_weights_of_another_family_fail_the_model(
    manager: ModelManager, smollm2_path: Path
) -> None:
    await manager.launch(ModelSettings(id="mine", path=smollm2_path, family="deepseek-coder"))
    status = await manager.wait_ready("mine")
    assert status.state is ModelState.FAILED
    assert "deepseek-coder" in str(status.error)


async def test_a_model_runs_on_the_interpreter_that_its_settings_name(
    manager: ModelManager, launcher: Any, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    model = ModelSettings(id="own", path=tmp_path, engine="fake", engine_python=python)
    await manager.launch(model)
    status = await manager.wait_ready("own")
    assert (status.state, status.engine) == (ModelState.READY, "fake")
    assert status.engine_reason == "the settings name it"


async def test_an_interpreter_without_the_engines_packages_fails_the_model_before_it_is_fetched(
    manager: ModelManager, launcher: Any, tmp_path: Path
) -> None:
    python = Path(sys.executable)
    model = ModelSettings(id="own", path=tmp_path, engine="vllm", engine_python=python)
    await manager.launch(model)
    status = await manager.wait_ready("own")
    assert status.state is ModelState.FAILED
    assert f"{python} -m pip install vllm" in (status.error or "")
    assert launcher.workers == []
