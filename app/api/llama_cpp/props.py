"""GET /props, /tokenizer_info and /version: what a client wants to know beforehand."""

from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from codeserve.app.api.generation.model_choice import ModelChoice
from codeserve.app.api.llama_cpp.options import GenerationOptions, settings
from codeserve.app.edge.auth import CurrentKey
from codeserve.app.manager.lease import LeasedModel
from codeserve.app.manager.manager import ModelManager
from codeserve.engines.types import TextRequest


class DefaultSettings(BaseModel):
    """What a request gets that says nothing."""

    n_ctx: int
    """Tokens of one request, prompt and text together."""
    params: dict[str, Any]


class Props(BaseModel):
    """GET /props, as of llama.cpp's server."""

    default_generation_settings: DefaultSettings
    total_slots: int
    """Requests that are computed together."""
    model_alias: str
    model_path: str
    """The name of the weights, without their folder."""
    chat_template: str
    """Empty for a model that does not chat."""
    bos_token: str
    eos_token: str
    modalities: dict[str, bool]
    build_info: str


class TokenizerInfo(BaseModel):
    """GET /tokenizer_info, as of vLLM."""

    tokenizer_class: str = "PreTrainedTokenizerFast"
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str | None
    model_max_length: int


class Version(BaseModel):
    """GET /version."""

    version: str


class PropsHandler:
    """Serves GET /props, GET /tokenizer_info and GET /version."""

    def __init__(self, manager: ModelManager, models: ModelChoice) -> None:
        self._manager = manager
        self._models = models

    async def props(self, key: CurrentKey, model: str | None = None) -> Props:
        """The model and the defaults of requests to it."""
        async with self._models.lease(key, model) as leased:
            variant = leased.info.variant
            return Props(
                default_generation_settings=DefaultSettings(
                    n_ctx=leased.info.context_length, params=await _defaults(leased)
                ),
                total_slots=leased.info.max_concurrency,
                model_alias=leased.id,
                model_path=self._weights(leased.id),
                chat_template=variant.chat_template or "",
                bos_token=variant.bos or "",
                eos_token=variant.eos or "",
                modalities={"vision": False, "audio": False},
                build_info=f"codeserve-{version('codeserve')}",
            )

    async def tokenizer_info(self, key: CurrentKey, model: str | None = None) -> TokenizerInfo:
        """The control tokens and the chat template."""
        async with self._models.lease(key, model) as leased:
            variant = leased.info.variant
            return TokenizerInfo(
                bos_token=variant.bos,
                eos_token=variant.eos,
                pad_token=variant.eos,
                chat_template=variant.chat_template,
                model_max_length=leased.info.context_length,
            )

    async def version(self) -> Version:
        """The server's version."""
        return Version(version=version("codeserve"))

    def _weights(self, model_id: str) -> str:
        path = self._manager.status(model_id).spec.get("path")
        return PurePath(path).name if path else model_id


async def _defaults(model: LeasedModel) -> dict[str, Any]:
    options = GenerationOptions()
    request: TextRequest = await options.request(model)
    return settings(options, request, model)
