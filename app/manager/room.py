"""The memory that models share: who gets it, and who must go."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from codeserve.app.manager.leases import Leases
from codeserve.app.manager.residency import Decision, Limits, Resident, Wish, decide
from codeserve.engines.errors import ModelLoadError

EVICTED = "others need its memory"
"""Why a model is unloaded that has to make room."""


class RoomRefused(ModelLoadError):
    """There is no room for a model, and none will come by waiting."""


class Tenant(Protocol):
    """A model, as far as room is concerned."""

    leases: Leases

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def waits_for_requests(self) -> bool:
        """It is loaded for the requests that wait, and for nobody else."""

    @property
    def idle_timeout(self) -> float | None:
        """Seconds without a request after which it is unloaded; None: never."""

    def resident(self, needs: Mapping[str, int]) -> Resident:
        """What the policy must know of it while it takes room."""

    def set_closed(self, closed: bool) -> None:
        """Whether requests wait although it is READY, so that others get their turn."""

    def unload(self, reason: str) -> None:
        """Give the memory back; it is READY and nobody uses it."""


class _Admission:
    """A model that wants room."""

    def __init__(self, tenant: Tenant, needs: Mapping[str, int]) -> None:
        self.tenant = tenant
        self.needs = needs
        self.since = time.monotonic()
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Room:
    """Asks the policy at every change, and does what it says. Belongs to one event loop."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        """``limits`` of all models together, as they are now."""
        self._limits = limits
        self._wanting: dict[str, _Admission] = {}
        self._taking: dict[str, _Admission] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._reviewing: asyncio.Handle | None = None

    @asynccontextmanager
    async def hold(self, tenant: Tenant, needs: Mapping[str, int]) -> AsyncIterator[None]:
        """Wait until the policy has ``tenant`` loaded; its room is free when the context ends.

        Raises RoomRefused, with numbers.
        """
        admission = self._wanting[tenant.id] = _Admission(tenant, needs)
        self.review()
        try:
            await admission.granted
            yield
        finally:
            self._wanting.pop(tenant.id, None)
            self._taking.pop(tenant.id, None)
            self.review()

    def resize(self, tenant_id: str, needs: Mapping[str, int]) -> None:
        """A model that takes room needs another amount, as has been measured."""
        if tenant_id in self._taking:
            self._taking[tenant_id].needs = needs
            self.review()

    def review(self) -> None:
        """Something has changed: ask the policy soon, once for all changes of this moment."""
        if self._reviewing is None:
            self._reviewing = asyncio.get_running_loop().call_soon(self._review)

    def lease_changed(self) -> None:
        """A lease has begun or ended, which matters only to those who want room."""
        if self._wanting:
            self.review()

    def close(self) -> None:
        """Make no more decisions."""
        for handle in (self._timer, self._reviewing):
            if handle is not None:
                handle.cancel()

    def _review(self) -> None:
        self._reviewing = None
        now = time.monotonic()
        idle = self._end_idle(now)
        decision = decide(
            now,
            [one.tenant.resident(one.needs) for one in self._taking.values()],
            list(self._wishes()),
            self._limits(),
        )
        self._apply(decision)
        self._look_again([idle, decision.again])

    def _wishes(self) -> Iterator[Wish]:
        """What is wanted by anybody who still waits, loaded or not."""
        for one in (*self._wanting.values(), *self._taking.values()):
            leases, launched = one.tenant.leases, not one.tenant.waits_for_requests
            if one.granted.cancelled():
                continue
            if leases.waiting or (launched and not one.granted.done()):
                since = leases.waiting_since
                yield Wish(
                    id=one.tenant.id,
                    needs=one.needs,
                    since=one.since if since is None else since,
                    requests=leases.waiting,
                )

    def _apply(self, decision: Decision) -> None:
        for model_id in decision.refuse.keys() & self._wanting.keys():
            refusal = RoomRefused(f"{decision.refuse[model_id]}.")
            self._wanting.pop(model_id).granted.set_exception(refusal)
        for model_id in decision.evict:
            self._taking[model_id].tenant.unload(EVICTED)
        for model_id, one in self._taking.items():
            one.tenant.set_closed(model_id in decision.close)
        for model_id in decision.load:
            one = self._taking[model_id] = self._wanting.pop(model_id)
            one.granted.set_result(None)

    def _end_idle(self, now: float) -> float | None:
        """Unload those that nobody has used for long; seconds until the next one may go."""
        times = []
        for one in self._taking.values():
            timeout, resident = one.tenant.idle_timeout, one.tenant.resident(one.needs)
            if timeout is None or resident.pinned or not resident.settled:
                continue
            if resident.leases:
                times.append(timeout)
            elif now - resident.last_used >= timeout:
                one.tenant.unload(f"no request came for {timeout:g} s")
            else:
                times.append(resident.last_used + timeout - now)
        return min(times, default=None)

    def _look_again(self, times: list[float | None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        soonest = min((seconds for seconds in times if seconds is not None), default=None)
        if soonest is not None:
            self._timer = asyncio.get_running_loop().call_later(max(soonest, 0.0), self.review)
