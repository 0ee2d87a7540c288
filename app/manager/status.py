"""Where a model stands, as clients and operators see it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from codeserve.engines.types import EngineInfo


class ModelState(StrEnum):
    """The life of a model.

    PENDING → PULLING → LOADING → PROVING → READY → DRAINING → STOPPED is the good course. A
    worker that crashes or hangs leads to RESTARTING and back to LOADING; FAILED is final, with
    the cause in the status. A model can be stopped, and restarted from PENDING on, in every state.
    One that loads on demand, or was unloaded to give its memory back, is UNLOADED until the next
    request for it. With several replicas the state is that of the furthest.
    """

    PENDING = "pending"
    PULLING = "pulling"
    LOADING = "loading"
    PROVING = "proving"
    UNLOADED = "unloaded"
    READY = "ready"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """Whether it stays so until something happens to the model."""
        return self in (
            ModelState.READY,
            ModelState.UNLOADED,
            ModelState.FAILED,
            ModelState.STOPPED,
        )

    @property
    def serves(self) -> bool:
        """Whether a request is answered, after loading the model if need be."""
        return self in (ModelState.READY, ModelState.UNLOADED)

    def may_become(self, state: "ModelState") -> bool:
        """Whether the step from this state to ``state`` is a legal one."""
        return state in _NEXT[self]


_ENDS = frozenset({ModelState.PENDING, ModelState.STOPPED, ModelState.FAILED})
"""Where a restart, a termination or a failure leads from nearly everywhere."""
_NEXT: Mapping[ModelState, frozenset[ModelState]] = {
    ModelState.PENDING: _ENDS | {ModelState.PULLING, ModelState.LOADING, ModelState.UNLOADED},
    ModelState.PULLING: _ENDS | {ModelState.LOADING, ModelState.UNLOADED},
    ModelState.LOADING: _ENDS | {ModelState.PROVING, ModelState.RESTARTING},
    ModelState.PROVING: _ENDS | {ModelState.READY, ModelState.RESTARTING, ModelState.LOADING},
    ModelState.READY: frozenset({ModelState.RESTARTING, ModelState.DRAINING, ModelState.FAILED}),
    ModelState.RESTARTING: _ENDS | {ModelState.LOADING, ModelState.PROVING},
    ModelState.UNLOADED: _ENDS | {ModelState.PULLING, ModelState.LOADING},
    ModelState.DRAINING: frozenset({ModelState.PENDING, ModelState.STOPPED, ModelState.UNLOADED}),
    ModelState.FAILED: frozenset({ModelState.PENDING, ModelState.STOPPED}),
    ModelState.STOPPED: frozenset(),
}


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a model's life."""

    id: str
    state: ModelState
    created: int
    """Unix time of the launch, in seconds."""
    spec: Mapping[str, Any]
    """The settings that the model was launched with."""
    phase: str = ModelState.PENDING
    """What is being done, such as ``"downloading"`` or ``"weights"``; else the state."""
    progress: float | None = None
    """How far ``phase`` is, from 0 to 1, where that is known."""
    engine: str = ""
    """The engine that loads it."""
    engine_reason: str = ""
    """Why this engine."""
    info: EngineInfo | None = None
    """What was loaded last; None until the model has been READY."""
    error: str | None = None
    """Why the model failed, or why its worker was last replaced."""
    restarts: int = 0
    """Workers started after the first one."""
    log_tail: tuple[str, ...] = ()
    """The last lines that the model's workers have written."""
    pinned: bool = False
    """It is neither unloaded when idle nor to make room."""
    bytes_done: int | None = None
    """Of the download that runs."""
    bytes_total: int | None = None
    memory_bytes: int | None = None
    """What its workers take: measured, or else estimated; None where nothing is loaded."""
    last_used: float | None = None
    """Unix time in seconds at which the last request ended; None: none has."""
    replicas: int = 1
    """Workers that it shall have."""
    replicas_ready: int = 0
    stalled: str | None = None
    """How long all workers that are ready have stood still; None: one of them works."""
    running: int = 0
    """Requests being computed at the last heartbeat."""
    waiting: int = 0
    """Requests queued at the last heartbeat."""

    waiting_tokens: int = 0
    """Prompt tokens of the queued requests, at the last heartbeat."""
    oldest_wait: float = 0.0
    """Seconds that the request has waited that waits longest."""
    kv_tokens: int = 0
    """Tokens that fit into the KV caches of all workers; 0: unknown."""
    kv_tokens_running: int = 0
    """Those of requests being computed."""

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache that requests being computed use, from 0 to 1."""
        return self.kv_tokens_running / self.kv_tokens if self.kv_tokens else 0.0

    @property
    def activity(self) -> str:
        """The state with the phase and how far it is, such as ``loading (weights, 42%)``."""
        percent = "" if self.progress is None else f", {self.progress:.0%}"
        phase = "" if self.phase == self.state else f" ({self.phase}{percent})"
        return f"{self.state}{phase}"
