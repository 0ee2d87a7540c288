"""What a server launches again when it is started again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.state_file import StateFile
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InvalidRequest, ModelNotFound
from codeserve.model_specs.catalog import Catalog
from tests.app.manager.stand_in import StandInLauncher
from tests.eventually import eventually

Fake = Callable[..., ModelSettings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.json"


@pytest.fixture
async def manager(catalog: Catalog, file: Path) -> AsyncIterator[ModelManager]:
    launcher, state = StandInLauncher(), StateFile.open(file)
    manager = ModelManager(ServerSettings(), launcher, catalog, state=state)
    yield manager
    await manager.stop()
    state.close()
    launcher.close()


def on_disk(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def test_what_shall_be_remembered_is_on_disk_when_the_launch_returns(
    manager: ModelManager, fake: Fake, file: Path
) -> None:
    await manager.launch(fake("passing"))
    await manager.launch(fake("staying"), remember=True)
    assert '"staying"' in on_disk(file)
    assert '"passing"' not in on_disk(file)


async def test_a_refused_launch_is_not_remembered(
    manager: ModelManager, fake: Fake, file: Path
) -> None:
    await manager.launch(fake())
    with pytest.raises(InvalidRequest):
        await manager.launch(fake(script="another"), remember=True)
    assert "another" not in on_disk(file)


async def test_a_terminated_model_is_forgotten(
    manager: ModelManager, fake: Fake, file: Path
) -> None:
    await manager.launch(fake("one"), remember=True)
    await manager.launch(fake("two"), remember=True)
    await manager.terminate("one")
    assert '"one"' not in on_disk(file)
    assert '"two"' in on_disk(file)


async def test_a_model_that_was_pinned_comes_back_pinned(
    manager: ModelManager, fake: Fake, file: Path
) -> None:
    await manager.launch(fake(), remember=True)
    manager.pin("fake", True)
    await eventually(lambda: '"pinned": true' in on_disk(file))


async def test_what_could_not_be_launched_again_can_be_forgotten(
    catalog: Catalog, fake: Fake, file: Path
) -> None:
    before = StateFile.open(file)
    before.save([fake("old")])
    before.close()
    launcher, state = StandInLauncher(), StateFile.open(file)
    manager = ModelManager(ServerSettings(), launcher, catalog, state=state)
    await manager.terminate("old")
    assert '"old"' not in on_disk(file)
    with pytest.raises(ModelNotFound):
        await manager.terminate("old")
    launcher.close()
    state.close()


async def test_a_state_that_cannot_be_written_is_told_and_the_model_is_launched(
    manager: ModelManager, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(state: StateFile, models: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(StateFile, "save", save)
    await manager.launch(fake(), remember=True)
    told = [event for event in manager.events.recent() if event.kind == "not_saved"]
    assert [event.message for event in told] == ["no space left on device"]
    assert manager.status("fake").state
