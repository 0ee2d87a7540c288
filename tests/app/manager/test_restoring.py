"""What was launched before the server ended is launched again, and nothing stands in its way."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.manager.events import EventKind
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.restoring import restore
from codeserve.app.manager.state_file import StateFile
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.model_specs.catalog import Catalog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture
def state(path: Path, tmp_path: Path) -> Iterator[StateFile]:
    """A file with a model that works between some that do not."""
    fake = {"path": str(tmp_path), "engine": "fake"}
    remembered = [
        {"id": "unknown", "model_name": "deepseek-codr"},
        {"id": "old", "turbo": True, **fake},
        {"id": "sound", "context_length": 64, **fake},
        {"id": "odd", "path": str(tmp_path), "engine": "odd"},
    ]
    path.write_text(json.dumps({"version": 1, "models": remembered}))
    opened = StateFile.open(path)
    yield opened
    opened.close()


@pytest.fixture
async def manager(
    state: StateFile, launcher: Any, catalog: Catalog, tmp_path: Path
) -> AsyncIterator[ModelManager]:
    manager = ModelManager(ServerSettings(store=tmp_path), launcher, catalog, state=state)
    yield manager
    await manager.stop()


def entries(path: Path) -> dict[str, Any]:
    return {entry["id"]: entry for entry in json.loads(path.read_text())["models"]}


async def test_what_can_be_launched_is_and_the_rest_is_reported(
    manager: ModelManager, state: StateFile, caplog: pytest.LogCaptureFixture
) -> None:
    assert await restore(manager, state, configured=[]) == ["sound"]
    assert (await manager.wait_ready("sound")).state is ModelState.READY
    assert manager.status("sound").spec["context_length"] == 64
    told = {
        event.model: event.state
        for event in manager.events.recent()
        if event.kind is EventKind.RESTORED
    }
    assert told.keys() == {"sound", "unknown", "old", "odd"}
    assert {name for name, to in told.items() if to == "failed"} == {"unknown", "old", "odd"}
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 3
    assert all("cannot be launched again" in error for error in errors)


async def test_what_cannot_be_launched_stays_in_the_file(
    manager: ModelManager, state: StateFile, path: Path
) -> None:
    before = entries(path)
    await restore(manager, state, configured=[])
    assert entries(path) == before
    await manager.terminate("sound")
    assert entries(path).keys() == {"unknown", "old", "odd"}
    await manager.terminate("unknown")
    assert entries(path).keys() == {"old", "odd"}


async def test_the_configuration_wins_and_what_is_remembered_stays(
    manager: ModelManager,
    state: StateFile,
    path: Path,
    fake: Callable[..., ModelSettings],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await manager.launch(fake("sound"))
    assert await restore(manager, state, configured=["sound"]) == []
    assert "context_length" not in manager.status("sound").spec
    assert "sound: launched as the configuration says" in caplog.text
    assert "sound" in entries(path)


async def test_a_launch_that_breaks_in_an_unforeseen_way_holds_nobody_up(
    manager: ModelManager, state: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = manager.launch

    async def breaking(model: ModelSettings, *, remember: bool = False) -> Any:
        if model.id == "unknown":
            raise OSError("the disk is gone")
        return await launch(model, remember=remember)

    monkeypatch.setattr(manager, "launch", breaking)
    assert await restore(manager, state, configured=[]) == ["sound"]
    told = [event.message for event in manager.events.recent() if event.model == "unknown"]
    assert told == ["It cannot be launched again: the disk is gone"]
