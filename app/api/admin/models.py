"""What becomes of launched models: ended, pinned, unloaded."""

from collections.abc import Mapping
from typing import Literal

from codeserve.app.api.admin.model_types import Deleted, Instance
from codeserve.app.api.admin.origin import origin_of
from codeserve.app.api.openai.model_types import ModelCard
from codeserve.app.api.openai.models import ModelsHandler
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus

Status = Literal["CREATING", "READY", "TERMINATING", "TERMINATED", "ERROR"]

STATUSES: Mapping[ModelState, Status] = {
    ModelState.READY: "READY",
    ModelState.UNLOADED: "READY",
    ModelState.DRAINING: "TERMINATING",
    ModelState.STOPPED: "TERMINATED",
    ModelState.FAILED: "ERROR",
}
"""Xinference's words for states; those without a row are being worked on."""


class AdminModelsHandler:
    """Serves what operators do to models."""

    def __init__(self, manager: ModelManager, models: ModelsHandler) -> None:
        """``models`` shows what has become of a model."""
        self._manager = manager
        self._models = models

    async def terminate(self, model_id: str) -> Deleted:
        """Refuse new requests, let running ones finish, end the workers, and forget the model."""
        await self._manager.terminate(model_id)
        return Deleted(id=model_id)

    async def unload(self, model_id: str) -> ModelCard:
        """Give a model's memory back until the next request for it; running ones finish first."""
        await self._manager.unload(model_id)
        return self._models.card(model_id)

    async def pin(self, model_id: str) -> ModelCard:
        """Keep a model loaded, whether it is used or not and whoever needs room."""
        self._manager.pin(model_id, True)
        return self._models.card(model_id)

    async def unpin(self, model_id: str) -> ModelCard:
        """Let a model be unloaded when it is idle or others need its room."""
        self._manager.pin(model_id, False)
        return self._models.card(model_id)

    async def instances(
        self, model_name: str | None = None, model_uid: str | None = None
    ) -> list[Instance]:
        """The launched models in Xinference's words, all or those of a family or an id."""
        listed = map(self._instance, self._manager.models())
        return [
            one
            for one in listed
            if model_name in (None, one.model_name) and model_uid in (None, one.model_uid)
        ]

    def _instance(self, status: ModelStatus) -> Instance:
        origin = origin_of(status, self._manager.catalog)
        return Instance(
            model_uid=status.id,
            model_name=origin.model_name,
            model_version=origin.version,
            model_ability=[origin.ability],
            replica=status.replicas,
            status=STATUSES.get(status.state, "CREATING"),
            instance_created_ts=status.created,
        )
