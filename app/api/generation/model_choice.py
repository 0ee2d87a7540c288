"""Which model serves a request that need not name one, as editors' plugins often do not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from codeserve.app.api.generation.leasing import lease
from codeserve.app.edge.exchange import Exchange
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.errors import ModelNotFound
from codeserve.model_specs.spec import Variant

Ability = Callable[[Variant], bool]


def can_fill(variant: Variant) -> bool:
    """The model was trained to fill in a middle."""
    return variant.fim is not None


def can_chat(variant: Variant) -> bool:
    """The model has a chat template."""
    return variant.chat_template is not None


class ModelChoice:
    """Leases the model that a request names, or else the first one that suits it.

    The models are asked in the order in which they were launched, which is that of the
    configuration: the first ready one that has the ability, or else the first ready one, or else
    the first one.
    """

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def lease(
        self, name: str | None, able: Ability = can_fill
    ) -> AbstractAsyncContextManager[LeasedModel]:
        """Use the model called ``name``; None or an empty one leaves the choice to the server.

        Raises ModelNotFound here, and ModelUnavailable on entry unless the model is READY.
        """
        return self._manager.lease(name or self._first(able))

    async def lease_for(self, exchange: Exchange, name: str | None, *, stream: bool) -> LeasedModel:
        """The same for the rest of ``exchange``; ``leasing.lease`` says more."""
        model_id = name or self._first(can_fill)
        return await lease(exchange, self._manager, model_id, stream=stream)

    def _first(self, able: Ability) -> str:
        models = self._manager.models()
        ready = [model for model in models if model.state is ModelState.READY]
        suitable = [model for model in ready if _has(model, able)]
        for model in (*suitable, *ready, *models):
            return model.id
        raise ModelNotFound("No model is served here.", param="model")


def _has(model: ModelStatus, able: Ability) -> bool:
    return model.info is not None and able(model.info.variant)
