"""Which model serves a request that need not name one, as editors' plugins often do not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from codeserve.app.api.generation.leasing import lease
from codeserve.app.edge.auth import key_of, may_use, require_model
from codeserve.app.edge.exchange import Exchange
from codeserve.app.keys.key import ApiKey
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
        self, key: ApiKey | None, name: str | None, able: Ability = can_fill
    ) -> AbstractAsyncContextManager[LeasedModel]:
        """Use the model called ``name``; None or an empty one leaves the choice to the server,
        among those that ``key`` may use.

        Raises PermissionDenied and ModelNotFound here, and ModelUnavailable on entry unless the
        model is READY.
        """
        model_id = name or self._first(key, able)
        require_model(key, model_id)
        return self._manager.lease(model_id)

    async def lease_for(self, exchange: Exchange, name: str | None, *, stream: bool) -> LeasedModel:
        """The same for the rest of ``exchange``; ``leasing.lease`` says more."""
        model_id = name or self._first(key_of(exchange.request.scope), can_fill)
        return await lease(exchange, self._manager, model_id, stream=stream)

    def _first(self, key: ApiKey | None, able: Ability) -> str:
        models = [model for model in self._manager.models() if may_use(key, model.id)]
        ready = [model for model in models if model.state is ModelState.READY]
        suitable = [model for model in ready if _has(model, able)]
        for model in (*suitable, *ready, *models):
            return model.id
        whose = "" if key is None else f" that the API key {key.name!r} may use"
        raise ModelNotFound(f"No model{whose} is served here.", param="model")


def _has(model: ModelStatus, able: Ability) -> bool:
    return model.info is not None and able(model.info.variant)
