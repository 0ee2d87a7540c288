"""All models of the server, by the names that clients ask for."""

import asyncio
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches

from codeserve.app.environments.engines import Engines
from codeserve.app.manager.launcher import Launcher
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.model import ManagedModel
from codeserve.app.manager.resolution import resolve
from codeserve.app.manager.restarts import RestartPolicy
from codeserve.app.manager.status import ModelStatus
from codeserve.app.settings import ModelSettings, ServerSettings
from codeserve.engines.errors import InvalidRequest, ModelNotFound, ModelUnavailable
from codeserve.model_specs.catalog import Catalog


class ModelManager:
    """Launches models, lends them to requests, and ends them."""

    def __init__(
        self,
        settings: ServerSettings,
        launcher: Launcher,
        catalog: Catalog,
        policy: RestartPolicy | None = None,
    ) -> None:
        """``policy`` says how crashed workers are restarted; None is the default policy."""
        self._settings = settings
        self._launcher = launcher
        self._catalog = catalog
        self._engines = Engines(settings.engines)
        self._policy = policy or RestartPolicy()
        self._models: dict[str, ManagedModel] = {}
        self._stopped = False

    async def launch(self, model: ModelSettings) -> None:
        """Begin to fetch and load ``model``; returns at once.

        Launching a model again that is there already does nothing, unless it has failed: then it
        is tried again. Raises InvalidRequest for settings that cannot work and for an id that is
        taken, and ModelUnavailable while a model of that id, or the server, is being stopped.
        """
        current = self._models.get(model.id)
        if self._stopped:
            raise ModelUnavailable("The server is shutting down and launches no more models.")
        if current is not None and not current.ended:
            _check_same(current, model)
            return
        resolution = resolve(model, self._catalog, self._engines)
        self._models[model.id] = ManagedModel(
            resolution, self._launcher, self._settings, self._policy
        )

    async def terminate(self, model_id: str) -> None:
        """Drain and end a model and forget it; legal in every state. Raises ModelNotFound."""
        model = self._find(model_id)
        await model.stop()
        if self._models.get(model_id) is model:
            del self._models[model_id]

    def models(self) -> list[ModelStatus]:
        """Where every model stands; from memory, whatever the workers do."""
        return [model.status for model in self._models.values()]

    def status(self, model_id: str) -> ModelStatus:
        """Where a model stands. Raises ModelNotFound."""
        return self._find(model_id).status

    def lease(self, model_id: str) -> AbstractAsyncContextManager[LeasedModel]:
        """Use a model for one request; it is not unloaded meanwhile.

        Raises ModelNotFound here, and ModelUnavailable on entry unless the model is READY.
        """
        return self._find(model_id).lease()

    async def wait_ready(self, model_id: str) -> ModelStatus:
        """Wait until a model is READY, FAILED or STOPPED. Raises ModelNotFound."""
        return await self._find(model_id).settled()

    async def stop(self) -> None:
        """Stop every model, side by side; no worker is left. No more models are launched."""
        self._stopped = True
        await asyncio.gather(*(model.stop() for model in self._models.values()))

    def _find(self, model_id: str) -> ManagedModel:
        if model_id in self._models:
            return self._models[model_id]
        near = get_close_matches(model_id, self._models, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        names = ", ".join(self._models) or "none"
        raise ModelNotFound(
            f"The model {model_id!r} does not exist.{hint} Models here: {names}.", param="model"
        )


def _check_same(current: ManagedModel, model: ModelSettings) -> None:
    """Raise unless ``model`` asks for what ``current`` is."""
    if current.stopping:
        raise ModelUnavailable(
            f"The model {model.id!r} is being stopped. Launch it again when it is gone.",
            param="id",
            retry_after=5.0,
        )
    if current.settings != model:
        raise InvalidRequest(
            f"A model {model.id!r} with other settings is there already. Terminate it first, or "
            "choose another id.",
            param="id",
        )
