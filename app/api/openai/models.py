"""GET /v1/models: what is served, and how it is doing."""

from typing import Any

from codeserve.app.api.openai.model_types import ModelCard, ModelDetails, ModelList, ModelMeta
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus
from codeserve.engines.types import EngineInfo


class ModelsHandler:
    """Serves GET /v1/models and GET /v1/models/{id}, from memory and in any state."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def list_models(self) -> ModelList:
        """Every served model."""
        return ModelList(data=[ModelCard(**_card(status)) for status in self._manager.models()])

    async def show_model(self, model_id: str) -> ModelDetails:
        """One served model with all that is known of it."""
        status = self._manager.status(model_id)
        return ModelDetails(
            **_card(status),
            **_loaded(status.info),
            engine_reason=status.engine_reason,
            log_tail=list(status.log_tail),
            restarts=status.restarts,
            running=status.running,
            waiting=status.waiting,
        )


def _card(status: ModelStatus) -> dict[str, Any]:
    info = status.info
    return {
        "id": status.id,
        "created": status.created,
        "root": status.id,
        "meta": info and _meta(info),
        "model_ability": _abilities(info),
        "state": status.state,
        "phase": status.phase,
        "progress": status.progress,
        "max_model_len": info and info.context_length,
        "context_length": info and info.context_length,
        "engine": status.engine,
        "device": info and info.device,
        "error": status.error,
    }


def _abilities(info: EngineInfo | None) -> list[str]:
    if info is None:
        return []
    return ["generate"] if info.variant.chat_template is None else ["chat"]


def _meta(info: EngineInfo) -> ModelMeta:
    return ModelMeta(
        n_ctx_train=info.trained_context_length,
        n_vocab=info.vocab_size,
        n_params=info.parameters,
        size=info.weights_bytes,
    )


def _loaded(info: EngineInfo | None) -> dict[str, Any]:
    return {
        "engine_version": info and info.engine_version,
        "vocab_size": info and info.vocab_size,
        "parameters": info and info.parameters,
        "max_concurrency": info and info.max_concurrency,
        "repairs": list(info.repairs) if info else [],
    }
