"""GET /v1/models: replies."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ModelCard(BaseModel):
    """A served model and how it is doing."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "codeserve"
    state: str
    phase: str
    progress: float | None
    max_model_len: int | None
    context_length: int | None
    engine: str | None
    device: str | None
    error: str | None


class ModelDetails(ModelCard):
    """A served model with all that is known of it."""

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
