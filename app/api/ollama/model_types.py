"""What there is to know about models: requests and replies."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from codeserve.app.api.ollama.body import ModelBody


class ShowRequest(ModelBody):
    """POST /api/show."""


class PullRequest(ModelBody):
    """POST /api/pull."""

    stream: bool | None = None
    """None is true; there is one line in either case."""


class EmbedRequest(ModelBody):
    """POST /api/embed and POST /api/embeddings."""


class Details(BaseModel):
    """What kind of weights a model has; empty or ``unknown`` where that is not known."""

    parent_model: str = ""
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class ModelEntry(BaseModel):
    """A served model."""

    name: str
    model: str
    digest: str
    """Of the settings that it was launched with: the same for the same model."""
    size: int
    """Of its weights, in bytes; 0 until they are loaded."""
    details: Details


class ListedModel(ModelEntry):
    """A served model, whether it is loaded or not."""

    modified_at: str
    """When it was launched."""


class RunningModel(ModelEntry):
    """A model that is ready."""

    expires_at: str
    """Never: no time tells when others will need its room."""
    size_vram: int
    """``size``, if its device is not the CPU."""
    context_length: int


class ListedModels(BaseModel):
    """GET /api/tags."""

    models: list[ListedModel]


class RunningModels(BaseModel):
    """GET /api/ps."""

    models: list[RunningModel]


class ShownModel(BaseModel):
    """POST /api/show."""

    model_config = ConfigDict(protected_namespaces=())

    modelfile: str
    parameters: str
    template: str
    details: Details
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class PullStatus(BaseModel):
    """How an operation has gone."""

    status: str


class Version(BaseModel):
    """GET /api/version."""

    version: str
    """Of Ollama, whose API this server speaks; clients ask for a least one."""
    codeserve: str
    """Of this server."""
