"""What becomes of a model: replies."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Deleted(BaseModel):
    """DELETE /v1/models/{id}, as OpenAI answers it."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class Instance(BaseModel):
    """A model in the words of Xinference's instances."""

    model_config = ConfigDict(protected_namespaces=())

    model_uid: str
    model_name: str | None
    model_version: str | None
    """Which of the weights of the catalogue, as the cache names them."""
    model_ability: list[Literal["generate", "chat"]]
    replica: int
    status: Literal["CREATING", "READY", "TERMINATING", "TERMINATED", "ERROR"]
    n_worker: Literal[1] = 1
    instance_created_ts: int
