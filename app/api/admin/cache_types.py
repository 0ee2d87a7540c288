"""The weights on this machine: replies."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class CachedModel(BaseModel):
    """Weights on this machine; what they are called is null unless the catalogue knows them."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str | None
    model_size_in_billions: int | str | None
    model_format: str | None
    quantization: str | None
    model_version: str
    """What to call them by to have them shown or deleted."""
    model_id: str
    """Repository on the hub."""
    model_hub: str
    model_revision: str | None
    path: str
    real_path: str
    """The same with links followed."""
    bytes: int
    pulled_at: float
    """Unix time in seconds."""
    actor_ip_address: None = None


class CachedModels(BaseModel):
    """GET /v1/cache/models."""

    list: list[CachedModel]


class CachedFiles(BaseModel):
    """GET /v1/cache/models/files."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    worker_ip: None = None
    paths: list[str]


class RemovedWeights(BaseModel):
    """DELETE /v1/cache/models."""

    result: Literal[True] = True
    bytes: int
    """Freed."""
