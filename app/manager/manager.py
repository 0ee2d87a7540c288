"""All models of the server, by the names that clients ask for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from functools import cached_property

import msgspec

from codeserve.app.environments.engines import Engines
from codeserve.app.manager.admission import Admission
from codeserve.app.manager.drain import Drain
from codeserve.app.manager.event_log import EventLog
from codeserve.app.manager.events import EventKind
from codeserve.app.manager.history import Histories
from codeserve.app.manager.job_ledger import JobLedger
from codeserve.app.manager.jobs import Job
from codeserve.app.manager.journal import Journal
from codeserve.app.manager.launcher import Launcher
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.machine import this_machine
from codeserve.app.manager.model import ManagedModel
from codeserve.app.manager.placement import Placement, place
from codeserve.app.manager.remembered import Remembered
from codeserve.app.manager.residency import Limits
from codeserve.app.manager.resolution import Resolution, resolve
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.room import Room
from codeserve.app.manager.startup import Startup
from codeserve.app.manager.state_file import StateFile
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.manager.surroundings import Surroundings
from codeserve.app.memory.planner import Planner
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.engines.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.hub.store import Store


class ModelManager:
    """Launches models, lends them to requests, and ends them."""

    def __init__(
        self,
        settings: ServerSettings,
        launcher: Launcher,
        catalog: Catalog,
        policy: RestartPolicy | None = None,
        state: StateFile | None = None,
        turns: Limits | None = None,
    ) -> None:
        """``policy`` says how crashed workers are restarted; None is the default policy.
        ``state`` remembers launches; None: nothing does. ``turns`` says how long models wait for
        each other; its room is that of ``settings`` and the machine."""
        self.catalog = catalog
        self.engines = Engines(settings.engines)
        self.store = Store(settings.store, offline=settings.offline)
        self.planner = Planner(settings)
        self.events = EventLog()
        self.startup = Startup(self.models)
        self.drain = Drain(settings.drain_timeout)
        self.histories = Histories()
        self._settings = settings
        self._turns = turns or Limits()
        self._room = Room(lambda: self._limits)
        self._surroundings = Surroundings(
            server=settings,
            launcher=launcher,
            policy=policy or RestartPolicy(),
            store=self.store,
            planner=self.planner,
            room=self._room,
            drain=self.drain,
            histories=self.histories,
        )
        self._jobs = JobLedger()
        self._remembered = Remembered(state, self.events.complain)
        self._models: dict[str, ManagedModel] = {}
        self._stopped = False

    async def launch(self, model: ModelSettings, *, remember: bool = False) -> Job:
        """Begin to fetch and load ``model``; returns as soon as that has begun.

        Launching a model again that is there already does nothing, unless it has failed: then it
        is tried again. ``remember``: launch it again when the server is started again.

        Raises InvalidRequest for settings that cannot work and for an id that is taken,
        InsufficientMemory, and ModelUnavailable while a model of that id, or the server, is being
        stopped.
        """
        if (job := self._launched(model)) is not None:
            return job
        resolution = resolve(model, self.catalog, self.engines)
        placements = await asyncio.to_thread(self._weigh, resolution)
        if (job := self._launched(model)) is not None:
            return job
        if model.id in self._models:
            self._models[model.id].log.close()
        managed = ManagedModel(resolution, placements, self._surroundings, self._note)
        self._models[model.id] = managed
        job = self._jobs.begin(model.id)
        on_engine = f"on {managed.status.engine}"
        self.events.note(model.id, EventKind.LAUNCHED, managed.state, on_engine)
        managed.begin()
        if remember:
            await asyncio.shield(self._remembered.add(model))
        return self._jobs.get(job.id)

    async def terminate(self, model_id: str) -> None:
        """Drain and end a model and forget it; legal in every state. Raises ModelNotFound."""
        model = self._models.get(model_id)
        forgotten = await asyncio.shield(self._remembered.forget(model_id))
        if model is None and forgotten:
            return
        model = model or self._find(model_id)
        await model.stop()
        if self._models.get(model_id) is model:
            del self._models[model_id]
            self.events.note(model_id, EventKind.TERMINATED, model.state)

    async def restart(self, model_id: str) -> Job:
        """End a model's workers and begin again with the same settings; legal in every state.

        Leased requests may finish first. Raises ModelNotFound, and ModelUnavailable where the
        model is being terminated.
        """
        model = self._find(model_id)
        _check_stays(model)
        model.restart()
        return self._jobs.begin(model_id)

    def pin(self, model_id: str, pinned: bool) -> ModelStatus:
        """Keep a model loaded, or let it be unloaded when it is idle. Raises ModelNotFound."""
        model = self._find(model_id)
        if model.status.pinned is not pinned:
            model.pin(pinned)
            kind = EventKind.PINNED if pinned else EventKind.UNPINNED
            self.events.note(model_id, kind, model.state)
            settings = model.settings.model_copy(update={"pinned": pinned})
            self._remembered.update(settings)
        return model.status

    async def unload(self, model_id: str) -> ModelStatus:
        """Give a model's memory back until the next request for it; its workers are gone then.

        Raises ModelNotFound, and InvalidRequest where it is in use, pinned, or being loaded.
        """
        model = self._find(model_id)
        model.unload("asked to")
        return await model.settled()

    def models(self) -> list[ModelStatus]:
        """Where every model stands; from memory, whatever the workers do."""
        return [model.status for model in self._models.values()]

    def status(self, model_id: str) -> ModelStatus:
        """Where a model stands. Raises ModelNotFound."""
        return self._find(model_id).status

    def log(self, model_id: str) -> Journal[str]:
        """The last lines that a model's workers have written. Raises ModelNotFound."""
        return self._find(model_id).log

    def lease(self, model_id: str) -> AbstractAsyncContextManager[LeasedModel]:
        """Use a model for one request; it is not unloaded meanwhile.

        Raises ModelNotFound here. Entering waits while the model is loaded on demand, at most
        ``load_timeout`` seconds, and raises ModelUnavailable where it is not READY then.
        """
        return self._find(model_id).lease()

    def admission(self, model_id: str) -> Admission:
        """How many requests a model takes, and how long they may wait. Raises ModelNotFound."""
        return self._find(model_id).leases.admission

    async def wait_ready(self, model_id: str) -> ModelStatus:
        """Wait until a model is READY, UNLOADED, FAILED or STOPPED. Raises ModelNotFound."""
        return await self._find(model_id).settled()

    def jobs(self) -> Sequence[Job]:
        """The launches and restarts that run, and the last that have ended, oldest first."""
        return self._jobs.all()

    def job(self, job_id: str) -> Job:
        """One of them. Raises NothingStored."""
        return self._jobs.get(job_id)

    def job_of(self, model_id: str) -> Job:
        """The latest one of a model. Raises NothingStored."""
        return self._jobs.of(model_id)

    def watch(self, job_id: str) -> AsyncIterator[Job]:
        """A job now, at each change, but a few times a second at most, and at its end.

        Raises NothingStored.
        """
        self._jobs.get(job_id)
        return self._jobs.watch(job_id)

    async def cancel(self, job_id: str) -> Job:
        """End a launch, in whatever phase it is, and its model with it.

        Raises NothingStored, and InvalidRequest where the job has ended.
        """
        job = self._jobs.get(job_id)
        if job.state.ended:
            raise InvalidRequest(
                f"The job {job_id!r} has {job.state} already. To end its model, terminate "
                f"{job.model!r}."
            )
        await self.terminate(job.model)
        return self._jobs.get(job_id)

    async def stop(self) -> None:
        """Stop every model, side by side; no worker is left. No more models are launched."""
        self._stopped = True
        await asyncio.gather(*(model.stop() for model in self._models.values()))
        await self._remembered.finish()
        self.events.close()
        self._room.close()

    def _launched(self, model: ModelSettings) -> Job | None:
        """The job of a model that is there already; None: it can be launched.

        Raises InvalidRequest and ModelUnavailable.
        """
        if self._stopped:
            raise ModelUnavailable("The server is shutting down and launches no more models.")
        current = self._models.get(model.id)
        if current is None or current.ended:
            return None
        _check_stays(current)
        if current.settings != model:
            raise InvalidRequest(
                f"A model {model.id!r} with other settings is there already. Terminate it first, "
                "or choose another id.",
                param="id",
            )
        return self._jobs.of(model.id)

    def _weigh(self, resolution: Resolution) -> Sequence[Placement]:
        """The places of the workers. Raises InvalidRequest and InsufficientMemory."""
        settings = resolution.settings
        placements = place(settings, resolution.choice.engine, this_machine())
        stored = self.store.find(resolution.sources) if resolution.sources else None
        path = settings.path if stored is None else stored.path
        requirement = self.planner.requirement(resolution, path)
        self.planner.check(resolution, requirement)
        return placements

    @cached_property
    def _limits(self) -> Limits:
        """The room of all models; what the machine has does not change."""
        return msgspec.structs.replace(
            self._turns, budget=self.planner.limits(), max_loaded=self._settings.max_loaded
        )

    def _note(self, before: ModelStatus, after: ModelStatus, reason: str) -> None:
        """Tell of a step in a model's life."""
        self._jobs.follow(after)
        if before.state is not after.state:
            unloaded = after.state is ModelState.UNLOADED
            kind = EventKind.UNLOADED if unloaded else EventKind.STATE
            self.events.note(after.id, kind, after.state, reason)

    def _find(self, model_id: str) -> ManagedModel:
        if model_id in self._models:
            return self._models[model_id]
        near = get_close_matches(model_id, self._models, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        names = ", ".join(self._models) or "none"
        raise ModelNotFound(
            f"The model {model_id!r} does not exist.{hint} Models here: {names}.", param="model"
        )


def _check_stays(model: ManagedModel) -> None:
    """Raise unless the model is there to stay."""
    if model.stopping:
        raise ModelUnavailable(
            f"The model {model.id!r} is being stopped. Launch it again when it is gone.",
            param="id",
            retry_after=5.0,
        )
