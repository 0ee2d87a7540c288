import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from codeserve.app.manager.launcher import LocalLauncher, LocalWorker, Log
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.types import TextRequest
from codeserve.engines.worker.client import TextStream
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.segments import Content

DEADLINE_SECONDS = 60.0

ODD_ENGINE = """
from msgspec.structs import replace
from codeserve.engines.batching.loop import StepEngine
from codeserve.engines.fake import FakeBackend
from codeserve.model_specs.spec import EncodeVector, GoldenVectors

class OddBackend(FakeBackend):
    def load(self, progress):
        info = super().load(progress)
        print("the weights look odd")
        golden = GoldenVectors(encode=(EncodeVector(text="def", ids=(1, 2, 3)),))
        return replace(info, variant=replace(info.variant, golden=golden))

def create(config):
    return StepEngine(OddBackend(config), config)
"""


class RecordingLauncher(LocalLauncher):
    """Launches real workers and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[LocalWorker] = []

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> LocalWorker:
        self.workers.append(await super().launch(engine, python, log, placement))
        return self.workers[-1]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture
def launcher() -> RecordingLauncher:
    return RecordingLauncher()


@pytest.fixture
async def manager(launcher: RecordingLauncher, catalog: Catalog) -> AsyncIterator[ModelManager]:
    """A manager that restarts workers without delay and soon notices those that hang."""
    settings = ServerSettings(heartbeat_timeout=3.0, stall_timeout=3.0, drain_timeout=10.0)
    policy = RestartPolicy(first_delay=0.01, longest_delay=0.02)
    manager = ModelManager(settings, launcher, catalog, policy)
    yield manager
    await manager.stop()


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., ModelSettings]:
    """Makes the settings of fake models."""

    def settings(model_id: str = "fake", **options: object) -> ModelSettings:
        return ModelSettings(id=model_id, engine="fake", path=tmp_path, options=options)

    return settings


@pytest.fixture
def third_party_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The name of an engine, installed beside codeserve, whose tokenizer is not its variant's."""
    installed = tmp_path / "site-packages"
    (installed / "odd-1.0.dist-info").mkdir(parents=True)
    (installed / "odd-1.0.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1.0\n")
    (installed / "odd-1.0.dist-info" / "entry_points.txt").write_text(
        "[codeserve.engines]\nodd = odd\n"
    )
    (installed / "odd.py").write_text(ODD_ENGINE)
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return "odd"


@pytest.fixture
def generate(manager: ModelManager) -> Callable[..., Awaitable[TextStream]]:
    """Starts generations on a model, under a lease only while they are started."""
    numbers = itertools.count()

    async def start(model_id: str = "fake", max_tokens: int | None = None) -> TextStream:
        request = TextRequest(
            id=str(next(numbers)), prompt=(Content("hello"),), max_tokens=max_tokens
        )
        async with manager.lease(model_id) as model:
            return await model.generate(request)

    return start
