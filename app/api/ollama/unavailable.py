"""Operations of Ollama's that this server does not have, and what to do instead."""

from collections.abc import Mapping
from typing import NoReturn

from codeserve.app.api.ollama.model_types import EmbedRequest
from codeserve.app.api.ollama.names import served_id
from codeserve.app.edge.auth import CurrentKey, require_model
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.errors import UnsupportedFeature

INSTEAD: Mapping[str, str] = {
    "create": "name its weights in the configuration file, or with 'codeserve serve --model'",
    "copy": "list the weights under a second id in the configuration file",
    "delete": "take it out of the configuration file and restart the server",
    "push": "publish the weights with your hub's own tools",
}
"""Operation to what does the same here."""


class UnavailableHandler:
    """Refuses what is not there."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def create(self) -> None:
        """Not available: models are made by the operator."""
        _refuse("create")

    async def copy(self) -> None:
        """Not available: models are named by the operator."""
        _refuse("copy")

    async def delete(self) -> None:
        """Not available: models are removed by the operator."""
        _refuse("delete")

    async def push(self) -> None:
        """Not available: models are not published from here."""
        _refuse("push")

    async def embed(self, body: EmbedRequest, key: CurrentKey) -> None:
        """Not available: the models here generate text. Unknown models are still told apart."""
        model_id = served_id(self._manager, body.model)
        require_model(key, model_id)
        model = self._manager.status(model_id)
        raise UnsupportedFeature(
            f"The model {model.id!r} generates text and makes no embeddings. Use a server of "
            "embedding models for this request.",
            param="model",
        )


def _refuse(operation: str) -> NoReturn:
    raise UnsupportedFeature(
        f"This server does not {operation} models over this API. Instead, {INSTEAD[operation]}.",
        code="unsupported_operation",
    )
