"""Whatever is asked of models, and in whatever order, nothing is lost and nothing leaks."""

import asyncio
import itertools
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeserve.app.manager import manager as manager_module
from codeserve.app.manager import resolution
from codeserve.app.manager.events import EventKind
from codeserve.app.manager.launcher import LocalLauncher, LocalWorker, Log
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.placement import ANYWHERE, Placement
from codeserve.app.manager.residency import Limits
from codeserve.app.manager.resolution import Resolution
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.status import ModelState
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import ServingError
from codeserve.engines.types import TextRequest
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.segments import Content
from tests.app.manager.stand_in import StandInLauncher

MODELS: dict[str, dict[str, Any]] = {
    "eager": {"options": {"load_seconds": 0.002}},
    "lazy": {"load": "on_demand", "options": {"load_seconds": 0.004}},
    "idle": {"load": "on_demand", "idle_timeout": 0.01},
    "twins": {"load": "on_demand", "replica": 2, "options": {"load_seconds": 0.002}},
    "broken": {"load": "on_demand", "options": {"fail_load": "the disk is on fire"}},
}
ACTIONS = (
    "launch",
    "terminate",
    "restart",
    "request",
    "request",
    "request",
    "give up",
    "crash",
    "unload",
    "pin",
    "unpin",
    "cancel",
    "wait",
)
UNASKED = ("others need its memory", "no request came for 0.01 s", "asked to")
"""Why models are unloaded, but not ended."""

Steps = list[tuple[str, str, int]]

STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(sorted(MODELS)), st.integers(0, 15)),
    max_size=40,
)


class RealLauncher(LocalLauncher):
    """Launches real workers, which can be killed as stand-ins are."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[RealWorker] = []

    async def launch(
        self, engine: str, python: str | None, log: Log, placement: Placement = ANYWHERE
    ) -> LocalWorker:
        worker = await super().launch(engine, python, log, placement)
        self.workers.append(RealWorker(worker.pid))
        return worker

    @property
    def alive(self) -> list["RealWorker"]:
        return [worker for worker in self.workers if psutil.pid_exists(worker.pid)]

    def close(self) -> None:
        """Nothing is left to be removed."""


class RealWorker:
    """A process of ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def die(self, how: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class World:
    """A manager, those who use it, and what became of them."""

    def __init__(
        self,
        launcher: StandInLauncher | RealLauncher,
        catalog: Catalog,
        weights: Path,
        max_loaded: int,
    ) -> None:
        self.launcher = launcher
        self.manager = ModelManager(
            ServerSettings(max_loaded=max_loaded, drain_timeout=0.2, load_timeout=30.0),
            self.launcher,
            catalog,
            RestartPolicy(first_delay=0.001, longest_delay=0.002),
            turns=Limits(patience=0.02, residence=0.01, lull=0.002),
        )
        self.unexpected: list[object] = []
        self._weights = weights
        self._numbers = itertools.count()
        self._requests: list[asyncio.Task[str]] = []
        self._doing: list[asyncio.Task[Any]] = []

    async def play(self, steps: Steps) -> list[str]:
        """What became of every request, once all is stopped."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.unexpected.append(context))
        for model_id in MODELS:
            await self._launch(model_id)
        for action, model_id, number in steps:
            self._act(action, model_id, number)
            await asyncio.sleep(number / 2000 if action == "wait" else 0)
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(*self._requests, return_exceptions=True)
            await asyncio.gather(*self._doing)
            self.held = [model.leases.held for model in self.manager._models.values()]
            await self.manager.stop()
        return [one if isinstance(one, str) else type(one).__name__ for one in outcomes]

    def _act(self, action: str, model_id: str, number: int) -> None:
        match action:
            case "request":
                self._requests.append(asyncio.create_task(self._request(model_id, number + 1)))
            case "give up" if self._requests:
                self._requests[number % len(self._requests)].cancel()
            case "crash" if alive := self.launcher.alive:
                alive[number % len(alive)].die("the worker was killed by SIGSEGV")
            case action if operation := self._operation(action, model_id):
                self._doing.append(asyncio.create_task(_or_refused(operation)))

    def _operation(self, action: str, model_id: str) -> Coroutine[Any, Any, object] | None:
        match action:
            case "launch":
                return self._launch(model_id)
            case "terminate":
                return self.manager.terminate(model_id)
            case "restart":
                return self.manager.restart(model_id)
            case "unload":
                return self.manager.unload(model_id)
            case "pin" | "unpin":
                return self._pin(model_id, action == "pin")
            case "cancel":
                return self._cancel(model_id)
        return None

    async def _launch(self, model_id: str) -> None:
        model = ModelSettings(id=model_id, engine="fake", path=self._weights, **MODELS[model_id])
        await self.manager.launch(model)

    async def _pin(self, model_id: str, pinned: bool) -> None:
        self.manager.pin(model_id, pinned)

    async def _cancel(self, model_id: str) -> None:
        await self.manager.cancel(self.manager.job_of(model_id).id)

    async def _request(self, model_id: str, tokens: int) -> str:
        request = TextRequest(
            id=str(next(self._numbers)), prompt=(Content("hello"),), max_tokens=tokens
        )
        try:
            async with self.manager.lease(model_id) as model:
                stream = await model.generate(request)
                text = "".join([delta.text async for delta in stream])
        except ServingError as error:
            return f"{type(error).__name__}: {error.message}"
        return "served" if len(text) == tokens else f"only {text!r}"


async def _or_refused(action: Coroutine[Any, Any, object]) -> None:
    with suppress(ServingError):
        await action


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are looked for once."""
    found: dict[str, Resolution] = {}

    def resolve(model: ModelSettings, *where: Any) -> Resolution:
        if model.id not in found:
            found[model.id] = resolution.resolve(model, *where)
        return found[model.id]

    monkeypatch.setattr(manager_module, "resolve", resolve)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS, max_loaded=st.integers(1, 3))
def test_models_come_and_go_in_any_order_and_nothing_is_lost(
    steps: Steps, max_loaded: int, catalog: Catalog, tmp_path: Path
) -> None:
    asyncio.run(check(StandInLauncher, steps, max_loaded, catalog, tmp_path))


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS, max_loaded=st.integers(1, 2))
def test_real_workers_come_and_go_in_any_order_and_nothing_is_lost(
    steps: Steps, max_loaded: int, catalog: Catalog, tmp_path: Path
) -> None:
    asyncio.run(check(RealLauncher, steps, max_loaded, catalog, tmp_path))


async def check(
    launcher: type[StandInLauncher | RealLauncher],
    steps: Steps,
    max_loaded: int,
    catalog: Catalog,
    weights: Path,
) -> None:
    """Every request was served or told why not; no lease, worker or task is left."""
    before = asyncio.all_tasks()
    world = World(launcher(), catalog, weights, max_loaded)
    outcomes = await world.play(steps)
    allowed = ("served", "CancelledError", "ModelNotFound", "ModelUnavailable", "EngineRest")
    assert [one for one in outcomes if not one.startswith(allowed)] == []
    assert world.held == [0] * len(world.held)
    statuses = world.manager.models()
    assert {status.state for status in statuses} <= {ModelState.STOPPED}
    assert all("Error" not in str(status.error) for status in statuses)
    assert all(job.state.ended for job in world.manager.jobs())
    assert world.launcher.alive == []
    check_events(world)
    for _ in range(10):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert world.unexpected == []
    world.launcher.close()


def check_events(world: World) -> None:
    """Every step is legal, and no pinned model was unloaded."""
    states: dict[str, ModelState] = {}
    pinned: set[str] = set()
    for event in world.manager.events.recent():
        match event.kind:
            case EventKind.LAUNCHED:
                states[event.model] = ModelState.PENDING
                pinned.discard(event.model)
            case EventKind.PINNED:
                pinned.add(event.model)
            case EventKind.UNPINNED:
                pinned.discard(event.model)
            case EventKind.STATE | EventKind.UNLOADED:
                state = ModelState(str(event.state))
                assert states[event.model].may_become(state)
                states[event.model] = state
                if state is ModelState.DRAINING and event.message in UNASKED:
                    assert event.model not in pinned
