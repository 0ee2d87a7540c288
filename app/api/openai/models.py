"""GET /v1/models: what is served, and how it is doing."""

from typing import Any

from codeserve.app.api.admin.origin import Ability, Origin, origin_of, spelling
from codeserve.app.api.openai.model_types import ModelCard, ModelDetails, ModelList, ModelMeta
from codeserve.app.edge.auth import CurrentKey, may_use, require_model
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus
from codeserve.engines.types import EngineInfo


class ModelsHandler:
    """Serves GET /v1/models and GET /v1/models/{id}, from memory and in any state."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def list_models(self, key: CurrentKey) -> ModelList:
        """Every served model that the client may use."""
        statuses = (status for status in self._manager.models() if may_use(key, status.id))
        return ModelList(data=[ModelCard(**self._fields(status)) for status in statuses])

    async def show_model(self, model_id: str, key: CurrentKey) -> ModelDetails:
        """One served model with all that is known of it."""
        require_model(key, model_id)
        status = self._manager.status(model_id)
        return ModelDetails(
            **self._fields(status),
            **_loaded(status.info),
            spec=dict(status.spec),
            engine_reason=status.engine_reason,
            log_tail=list(status.log_tail),
        )

    def card(self, model_id: str) -> ModelCard:
        """One served model as it is listed. Raises ModelNotFound."""
        return ModelCard(**self._fields(self._manager.status(model_id)))

    def _fields(self, status: ModelStatus) -> dict[str, Any]:
        return _card(status) | _xinference(status, origin_of(status, self._manager.catalog))


def _card(status: ModelStatus) -> dict[str, Any]:
    info = status.info
    return {
        "id": status.id,
        "created": status.created,
        "root": status.id,
        "meta": info and _meta(info),
        "state": status.state,
        "phase": status.phase,
        "progress": status.progress,
        "bytes_done": status.bytes_done,
        "bytes_total": status.bytes_total,
        "max_model_len": info and info.context_length,
        "context_length": info and info.context_length,
        "engine": status.engine,
        "device": info and info.device,
        "pinned": status.pinned,
        "memory_bytes": status.memory_bytes,
        "last_used": status.last_used,
        "replicas_ready": status.replicas_ready,
        "running": status.running,
        "waiting": status.waiting,
        "restarts": status.restarts,
        "error": status.error,
    }


def _xinference(status: ModelStatus, origin: Origin) -> dict[str, Any]:
    return {
        "model_ability": [_ability(status.info) if status.info else origin.ability],
        "model_name": origin.model_name,
        "model_engine": spelling(status.engine),
        "model_format": origin.model_format,
        "model_size_in_billions": origin.size,
        "quantization": origin.quantization,
        "model_description": origin.description,
        "model_lang": list(origin.languages),
        "model_version": origin.version,
        "replica": status.replicas,
        "accelerators": [str(index) for index in status.spec.get("gpu_idx", ())],
    }


def _ability(info: EngineInfo) -> Ability:
    return "generate" if info.variant.chat_template is None else "chat"


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
