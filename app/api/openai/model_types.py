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


class OpenAICard(BaseModel):
    """A served model as OpenAI's and llama.cpp's clients know it."""

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
    max_model_len: int | None


class XinferenceCard(BaseModel):
    """A served model as Xinference's clients know it."""

    model_config = ConfigDict(protected_namespaces=())

    model_type: Literal["LLM"] = "LLM"
    """Xinference's clients choose their handle by this and the next one."""
    model_ability: list[Literal["generate", "chat"]]
    model_name: str | None
    model_engine: str
    model_format: str | None
    model_size_in_billions: int | str | None
    quantization: str | None
    model_description: str
    model_lang: list[str]
    model_version: str | None
    """The name of its weights in the cache; null: they are not of the catalogue."""
    replica: int
    address: None = None
    """Workers have no address that clients could use."""
    accelerators: list[str]
    """Indices of the GPUs that it was given; empty where that is left to the engine."""


class ModelCard(XinferenceCard, OpenAICard):
    """A served model and how it is doing. What only loading tells is null before."""

    state: str
    phase: str
    progress: float | None
    bytes_done: int | None
    """Of the download that runs."""
    bytes_total: int | None
    context_length: int | None
    engine: str
    device: str | None
    pinned: bool
    memory_bytes: int | None
    """What its workers take: measured, or else estimated; null where nothing is loaded."""
    last_used: float | None
    """Unix time in seconds at which the last request ended."""
    replicas_ready: int
    running: int
    waiting: int
    restarts: int
    error: str | None


class ModelDetails(ModelCard):
    """A served model with all that is known of it."""

    spec: dict[str, Any]
    """What it was launched with, in the words of the config file."""
    engine_reason: str
    """Why this engine."""
    engine_version: str | None
    vocab_size: int | None
    parameters: int | None
    max_concurrency: int | None
    repairs: list[str]
    log_tail: list[str]


class ModelList(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
