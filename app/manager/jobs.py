"""Launches as jobs: how far they are, and what became of them."""

from enum import StrEnum

import msgspec


class JobState(StrEnum):
    """A job runs and then ends in one of three ways."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it stays so."""
        return self is not JobState.RUNNING


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of the launch or restart of one model."""

    id: str
    model: str
    """Id of the model."""
    state: JobState = JobState.RUNNING
    phase: str = "pending"
    """What is being done, in the words of ``ModelStatus.phase``."""
    progress: float | None = None
    """How far ``phase`` is, from 0 to 1, where that is known."""
    bytes_done: int | None = None
    """Of a download; None while nothing is downloaded."""
    bytes_total: int | None = None
    bytes_per_second: float | None = None
    """Measured over the last seconds."""
    seconds_left: float | None = None
    """Of the download, at that speed."""
    error: str | None = None
    """Why it failed."""
    created: float
    """Unix time in seconds."""
    ended: float | None = None
    """Unix time in seconds; None while it runs."""
