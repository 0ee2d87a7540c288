"""Weights on their way from a hub that stops in the middle of a file."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog
from tests.model_specs.hub.local_hub import serving

SIZE = 4 * 2**20

FAMILY = """
model_name = "far"
description = "Weights that take their time."
languages = ["en"]
abilities = ["generate"]

[[variants]]
name = "only"
context_length = 64

[[specs]]
size_in_billions = "1"
model_format = "ggufv2"
variant = "only"
quantizations = ["Q8_0"]
default_quantization = "Q8_0"
engines = ["llama.cpp"]
sources = [{ hub = "HUB", model_id = "some/far", file = "far.gguf" }]
"""


@pytest.fixture
def families(tmp_path: Path) -> Path:
    folder = tmp_path / "families"
    folder.mkdir()
    return folder


async def test_a_pull_shows_its_progress_and_can_be_stopped(
    families: Path, launcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (families / "far.toml").write_text(FAMILY.replace("HUB", "huggingface"))
    with serving() as hub:
        for name, value in hub.variables(tmp_path).items():
            monkeypatch.setenv(name, value)
        hub.add("some/far", {"far.gguf": os.urandom(SIZE)})
        hub.fail("/cdn/", stall_at=SIZE // 2)
        server = ServerSettings(store=tmp_path / "store")
        manager = ModelManager(server, launcher, Catalog.load(families))
        await manager.launch(ModelSettings(id="far", model_name="far"))
        while not manager.status("far").progress:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        status = manager.status("far")
        assert (status.state, status.phase) == (ModelState.PULLING, "downloading")
        assert 0 < (status.progress or 0) <= 0.5
        await manager.stop()
        assert manager.status("far").state is ModelState.STOPPED


async def test_weights_that_cannot_be_fetched_fail_the_model(families: Path, launcher: Any) -> None:
    family = FAMILY.replace("HUB", "package").replace("some/far", "no_such_package")
    (families / "far.toml").write_text(family)
    manager = ModelManager(ServerSettings(), launcher, Catalog.load(families))
    await manager.launch(ModelSettings(id="far", model_name="far"))
    status = await manager.wait_ready("far")
    assert status.state is ModelState.FAILED
    assert "no_such_package" in str(status.error)
    assert launcher.workers == []
