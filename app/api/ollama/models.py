"""What is served: GET /api/tags and /api/ps, POST /api/show and /api/pull."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from codeserve.app.api.ollama.model_types import (
    Details,
    ListedModel,
    ListedModels,
    PullRequest,
    PullStatus,
    RunningModel,
    RunningModels,
    ShownModel,
    ShowRequest,
)
from codeserve.app.api.ollama.names import served_id
from codeserve.app.api.ollama.times import rfc3339
from codeserve.app.edge.auth import CurrentKey, may_use, require_model
from codeserve.app.keys.key import ApiKey
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.types import EngineInfo
from codeserve.model_specs.prompt import PromptFormat
from codeserve.model_specs.spec import Variant

NEVER = "9999-12-31T23:59:59Z"
FORMATS = {"llama.cpp": "gguf"}
"""Engine to the format of the weights that it loads; other engines load ``safetensors``."""


class ModelsHandler:
    """Serves what is known of models."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def tags(self, key: CurrentKey) -> ListedModels:
        """Every served model that the client may use, from memory and in any state."""
        statuses = self._visible(key)
        return ListedModels(
            models=[
                ListedModel(**_entry(status), modified_at=_launched(status)) for status in statuses
            ]
        )

    async def ps(self, key: CurrentKey) -> RunningModels:
        """The models that are ready and that the client may use."""
        return RunningModels(
            models=[
                RunningModel(
                    **_entry(status),
                    expires_at=NEVER,
                    size_vram=0 if info.device.startswith("cpu") else info.weights_bytes,
                    context_length=info.context_length,
                )
                for status in self._visible(key)
                if status.state is ModelState.READY and (info := status.info) is not None
            ]
        )

    async def show(self, body: ShowRequest, key: CurrentKey) -> ShownModel:
        """One model: its context length, its prompt forms, and what it can do."""
        model_id = served_id(self._manager, body.model)
        require_model(key, model_id)
        status = self._manager.status(model_id)
        info = status.info or await self._load(model_id)
        return ShownModel(
            modelfile=f"# codeserve serves this model; it has no Modelfile.\nFROM {model_id}\n",
            parameters=f"num_ctx {info.context_length}",
            template=_template(info.variant),
            details=_details(status),
            model_info=_model_info(model_id, info),
            capabilities=_capabilities(PromptFormat(info.variant)),
            modified_at=_launched(status),
        )

    async def _load(self, model_id: str) -> EngineInfo:
        """What is there once a model has been loaded. Editors show every model that is listed, so
        what is known without that is not asked for again."""
        async with self._manager.lease(model_id) as model:
            return model.info

    async def pull(self, body: PullRequest, key: CurrentKey) -> PullStatus:
        """Make sure that a model is there: it is if it is ready. Nothing is downloaded here."""
        model_id = served_id(self._manager, body.model)
        require_model(key, model_id)
        async with self._manager.lease(model_id):
            return PullStatus(status="success")

    def _visible(self, key: ApiKey | None) -> Iterator[ModelStatus]:
        return (status for status in self._manager.models() if may_use(key, status.id))


def _entry(status: ModelStatus) -> dict[str, Any]:
    settings = json.dumps(status.spec, sort_keys=True).encode()
    return {
        "name": status.id,
        "model": status.id,
        "digest": hashlib.sha256(settings).hexdigest(),
        "size": status.info.weights_bytes if status.info else 0,
        "details": _details(status),
    }


def _details(status: ModelStatus) -> Details:
    info = status.info
    family = info.variant.family if info else str(status.spec.get("model_name", ""))
    return Details(
        format=FORMATS.get(info.engine, "safetensors") if info else "",
        family=family,
        families=[family],
        parameter_size=_size(info.parameters) if info else "",
        quantization_level=str(status.spec.get("quantization", "unknown")),
    )


def _model_info(model_id: str, info: EngineInfo) -> dict[str, Any]:
    """In the words of GGUF; the family stands for the architecture, which is not known here."""
    family = info.variant.family
    return {
        "general.architecture": family,
        "general.basename": model_id,
        "general.parameter_count": info.parameters,
        f"{family}.context_length": info.context_length,
        f"{family}.vocab_size": info.vocab_size,
    }


def _capabilities(prompts: PromptFormat) -> list[str]:
    capabilities = ["completion"]
    if prompts.can_fill:
        capabilities.append("insert")
    if prompts.can_chat:
        capabilities.append("tools")
    return capabilities


def _template(variant: Variant) -> str:
    """How prompts are made. Editors look for ``.Suffix`` in it, so that the hole is in Ollama's
    template language; the chat template is Jinja, in which the model has it."""
    whole = variant.chat_template or "{{ .Prompt }}"
    if variant.fim is None:
        return whole
    form = variant.fim
    hole = f"{form.begin}{{{{ .Prompt }}}}{form.hole}{{{{ .Suffix }}}}{form.end}"
    return f"{{{{- if .Suffix }}}}{hole}{{{{- else }}}}{whole}{{{{- end }}}}"


def _size(parameters: int) -> str:
    """``1346471936`` as ``1.3B``."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.1f}{name}"
    return str(parameters)


def _launched(status: ModelStatus) -> str:
    return rfc3339(datetime.fromtimestamp(status.created, UTC))
