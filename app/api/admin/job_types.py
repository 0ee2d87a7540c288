"""Launches and how far they are: replies."""

from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from codeserve.app.manager.jobs import Job, JobState


class JobReply(BaseModel):
    """The launch or restart of a model. What is not known is null."""

    id: str
    object: Literal["job"] = "job"
    model: str
    state: JobState
    phase: str
    progress: float | None
    """How far the phase is, from 0 to 1."""
    bytes_done: int | None
    """Of a download."""
    bytes_total: int | None
    bytes_per_second: float | None
    seconds_left: float | None
    error: str | None
    created: float
    ended: float | None

    @classmethod
    def of(cls, job: Job) -> "JobReply":
        """``job`` for clients."""
        return cls(**msgspec.structs.asdict(job))


class JobList(BaseModel):
    """GET /v1/jobs."""

    object: Literal["list"] = "list"
    data: list[JobReply]


class Launched(BaseModel):
    """A model that is being launched, or has been."""

    model_config = ConfigDict(protected_namespaces=())

    model_uid: str
    job: JobReply


class LaunchProgress(BaseModel):
    """How far a model's latest launch is."""

    progress: float
    """From 0 to 1, as far as that can be guessed: a download counts more than all that follows."""
    job: JobReply
