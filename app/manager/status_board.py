"""Where one model stands, for those who ask and those who wait."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

from msgspec.structs import replace

from codeserve.app.manager.resolution import Resolution
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.engines.errors import ModelUnavailable

Changed = Callable[[ModelStatus, ModelStatus, str], None]
"""Is told the status before and after a change, and why it changed, if there is a reason."""

RESTS = frozenset(
    {
        ModelState.PENDING,
        ModelState.UNLOADED,
        ModelState.READY,
        ModelState.FAILED,
        ModelState.STOPPED,
    }
)
"""States that a model sets out from."""

RETRY_SECONDS = {
    ModelState.PENDING: 5.0,
    ModelState.PULLING: 30.0,
    ModelState.LOADING: 5.0,
    ModelState.PROVING: 2.0,
    ModelState.RESTARTING: 5.0,
    ModelState.DRAINING: 30.0,
    ModelState.UNLOADED: 30.0,
}
"""When to try again; a state that is not listed does not pass by itself."""


class StatusBoard:
    """Keeps the status and lets only legal steps happen. Belongs to one event loop."""

    def __init__(self, status: ModelStatus, changed: Changed) -> None:
        """``changed`` is called at every change."""
        self.status = status
        self.rest = status.state
        """Where the model set out from, or, while it is DRAINING, where that leads."""
        self.since = time.monotonic()
        """When the model entered its state."""
        self._changed = changed
        self._news = asyncio.Event()

    @classmethod
    def at_launch(cls, resolution: Resolution, replicas: int, changed: Changed) -> Self:
        """The board of a model that was launched just now."""
        settings = resolution.settings
        status = ModelStatus(
            id=settings.id,
            state=ModelState.PENDING,
            created=int(time.time()),
            spec=settings.model_dump(mode="json", exclude_none=True),
            engine=resolution.choice.engine,
            engine_reason=resolution.choice.reason,
            pinned=settings.pinned,
            replicas=replicas,
        )
        return cls(status, changed)

    @property
    def state(self) -> ModelState:
        """The state of the status."""
        return self.status.state

    def move(
        self,
        state: ModelState,
        *,
        error: str | None = None,
        reason: str = "",
        towards: ModelState | None = None,
    ) -> None:
        """Enter ``state``; an ``error`` stays in the status until there is another.

        ``reason``: why, for those who watch. ``towards``: where DRAINING leads.
        """
        assert self.state.may_become(state), f"{self.state} to {state}"
        if state in RESTS:
            self.rest = state
        self.rest = towards or self.rest
        self.since = time.monotonic()
        self.update(
            replace(
                self.status,
                state=state,
                phase=state.value,
                progress=None,
                bytes_done=None,
                bytes_total=None,
                error=error or self.status.error,
            ),
            reason or error or "",
        )

    def update(self, status: ModelStatus, reason: str = "") -> None:
        """Have ``status`` from now on."""
        before, self.status = self.status, status
        self._news.set()
        self._news = asyncio.Event()
        self._changed(before, status, reason)

    async def settled(self) -> None:
        """Wait until the state is one that stays."""
        while not self.state.settled:
            await self._news.wait()

    def describe(self) -> str:
        """The state in words, with the phase and how far it is, or what went wrong."""
        status = self.status
        if status.state in (ModelState.FAILED, ModelState.RESTARTING):
            return f"{status.state}: {status.error}"
        return status.activity

    def unavailable(self, what: str = "is not available") -> ModelUnavailable:
        """The refusal of a request, and when to try again."""
        return ModelUnavailable(
            f"The model {self.status.id!r} {what}: {self.describe()}.",
            param="model",
            retry_after=RETRY_SECONDS.get(self.state),
        )
