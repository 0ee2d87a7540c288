"""GET /v1/models: replies."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class ModelMeta(BaseModel):
    """What llama.cpp's server tells of the weights."""

    n_ctx_train: int
    """Tokens that the model was trained for."""
    n_vocab: int
    n_params: int
    size: int
    """Bytes of the weights."""


class ModelCard(BaseModel):
    """A served model and how it is doing. What only loading tells is null before."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "codeserve"
    root: str
    """The same as ``id``, as of every model that is not fine-tuned from another one here."""
    parent: None = None
    permission: list[dict[str, Any]] = []
    """Empty: every model may be used by everyone who may use the server."""
    meta: ModelMeta | None
    model_type: Literal["LLM"] = "LLM"
    """Xinference's clients choose their handle by this and the next one."""
    model_ability: list[Literal["generate", "chat"]]
    state: str
    phase: str
    progress: float | None
    max_model_len: int | None
    context_length: int | None
    engine: str
    device: str | None
    error: str | None


class ModelDetails(ModelCard):
    """A served model with all that is known of it."""

    engine_reason: str
    """Why this engine."""
    engine_version: str | None
    vocab_size: int | None
    parameters: int | None
    max_concurrency: int | None
    repairs: list[str]
    log_tail: list[str]
    restarts: int
    running: int
    waiting: int


class ModelList(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
