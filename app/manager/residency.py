"""Which models share the memory: what to load, what to unload for it, and who waits how long.

Pure policy over numbers: no clock, no tasks. Whoever calls ``decide`` loads and unloads.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

MODELS = "models"
"""The pool that counts models, of which each needs one."""
GIB = 1024**3


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """A model that takes room: it is loaded, being loaded or being unloaded."""

    id: str
    needs: Mapping[str, int]
    """Bytes by pool: ``"memory"``, ``"gpu0"``, ..."""
    pinned: bool = False
    leases: int = 0
    """Requests that use it."""
    settled: bool = True
    """It is READY: neither on its way there nor on its way out."""
    leaving: bool = False
    """It is being unloaded; its room will be free, and it need not be asked for again."""
    since: float = 0.0
    """When it became READY."""
    last_used: float = 0.0
    """When a request last took or gave back a lease of it; ``since`` if none has."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that wait for a model: it is not loaded, or takes no new leases."""

    id: str
    needs: Mapping[str, int]
    since: float
    """When the oldest of them came."""
    requests: int = 1


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The room for models, and how long they wait for each other."""

    budget: Mapping[str, int] = {}
    """Bytes by pool that models may take together; a pool that is missing has no limit."""
    max_loaded: int | None = None
    """Models that may be loaded at once."""
    patience: float = 30.0
    """Seconds that requests wait behind a busy model before it takes no new ones."""
    residence: float = 20.0
    """Seconds that a model in use stays at least, but never more than ``patience``."""
    lull: float = 3.0
    """Seconds without a request after which a model is not in use any more."""

    @property
    def stay(self) -> float:
        """Seconds that a model in use stays at least."""
        return min(self.residence, self.patience)

    @property
    def pools(self) -> Mapping[str, int]:
        """The whole room by pool, models being one."""
        return self.budget if self.max_loaded is None else {**self.budget, MODELS: self.max_loaded}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now."""

    load: tuple[str, ...] = ()
    """Wishes that fit beside everything that is loaded."""
    evict: tuple[str, ...] = ()
    """Residents to be unloaded; those that they make room for are loaded once they are gone."""
    close: frozenset[str] = frozenset()
    """Residents that take no new leases for now: new requests for them become wishes."""
    refuse: Mapping[str, str] = {}
    """Wishes that can never be met as things are, and why, with numbers."""
    again: float | None = None
    """Seconds until time alone changes the decision; None: never."""


def decide(
    now: float, residents: Sequence[Resident], wishes: Sequence[Wish], limits: Limits
) -> Decision:
    """What to load, unload and close, so that every wish is met, the oldest first.

    A wish that fits is met at once, unless that would take room from an older one. For the others
    the smallest set of the least recently used models goes that makes room, all together, and
    never one that is busy, pinned or unsettled, nor one that has not yet served those who waited
    for it. Whoever is in use stays for ``limits.stay`` seconds; after that, those in the way of a
    wish that has waited for ``limits.patience`` seconds are closed, so that they fall idle.
    """
    plan = _Plan(now, residents, wishes, limits)
    for wish in sorted(wishes, key=lambda wish: (wish.since, wish.id)):
        plan.consider(wish)
    return plan.decision()


class _Room:
    """What is left of each pool that has a limit; may be overdrawn."""

    def __init__(self, left: Mapping[str, int]) -> None:
        self._left = dict(left)

    def copy(self) -> "_Room":
        return _Room(self._left)

    def take(self, needs: Mapping[str, int]) -> None:
        for pool in self._left:
            self._left[pool] -= _amount(needs, pool)

    def give(self, needs: Mapping[str, int]) -> None:
        for pool in self._left:
            self._left[pool] += _amount(needs, pool)

    def lacks(self, needs: Mapping[str, int]) -> Mapping[str, int]:
        """What is missing for ``needs``, by pool; empty where they fit."""
        missing = {pool: _amount(needs, pool) - left for pool, left in self._left.items()}
        return {
            pool: amount for pool, amount in missing.items() if amount > 0 < _amount(needs, pool)
        }


class _Plan:
    """Goes through the wishes and keeps account of the room."""

    def __init__(
        self, now: float, residents: Sequence[Resident], wishes: Sequence[Wish], limits: Limits
    ) -> None:
        self._now = now
        self._limits = limits
        self._present = _Room(limits.pools)
        """What is free now."""
        self._future = _Room(limits.pools)
        """What will be free, once all that was decided for older wishes is done."""
        self._unpinned = _Room(limits.pools)
        """What is not pinned."""
        for resident in residents:
            self._present.take(resident.needs)
            if not resident.leaving:
                self._future.take(resident.needs)
            if resident.pinned:
                self._unpinned.take(resident.needs)
        self._residents = {resident.id: resident for resident in residents}
        waiting_since = {wish.id: wish.since for wish in wishes}
        self._movable = [
            resident
            for resident in residents
            if _movable(resident, waiting_since.get(resident.id, resident.since))
        ]
        self._load: list[str] = []
        self._evict: list[str] = []
        self._close: set[str] = set()
        self._refuse: dict[str, str] = {}
        self._times: list[float] = []
        """When time alone changes something."""

    def consider(self, wish: Wish) -> None:
        """Load it, make room for it, or keep what it needs from those that come after it."""
        resident = self._residents.get(wish.id)
        if resident is not None and not resident.leaving:
            return
        missing = self._unpinned.lacks(wish.needs)
        if missing:
            self._refuse[wish.id] = self._why_never(wish, missing)
            return
        if self._future.lacks(wish.needs):
            self._make_room(wish)
        elif resident is None and not self._present.lacks(wish.needs):
            self._load.append(wish.id)
            self._present.take(wish.needs)
        self._future.take(wish.needs)

    def decision(self) -> Decision:
        """What the wishes so far come to."""
        return Decision(
            load=tuple(self._load),
            evict=tuple(self._evict),
            close=frozenset(self._close),
            refuse=self._refuse,
            again=min(self._times) - self._now if self._times else None,
        )

    def _make_room(self, wish: Wish) -> None:
        """Unload the residents in its way, or close them, or wait for them."""
        victims = self._victims(wish.needs)
        for resident in victims:
            self._movable.remove(resident)
            self._future.give(resident.needs)
        busy = [resident for resident in victims if not self._is_free(resident)]
        if not busy:
            self._evict += [resident.id for resident in victims]
            return
        closing = max(self._closing(resident, wish) for resident in busy)
        if self._now >= closing:
            self._close |= {resident.id for resident in victims}
        else:
            lulls = [self._in_use_until(resident) for resident in busy if not resident.leases]
            self._times += [closing, *lulls]

    def _victims(self, needs: Mapping[str, int]) -> Sequence[Resident]:
        """Those whose going makes room for ``needs`` and of whom none could stay; nobody if all
        together do not make enough."""
        chosen: list[Resident] = []
        room = self._future.copy()
        for resident in sorted(self._movable, key=self._order):
            if _helps(resident, room.lacks(needs)):
                chosen.append(resident)
                room.give(resident.needs)
        if room.lacks(needs):
            return ()
        for resident in reversed(chosen.copy()):
            room.take(resident.needs)
            if room.lacks(needs):
                room.give(resident.needs)
            else:
                chosen.remove(resident)
        return chosen

    def _order(self, resident: Resident) -> tuple[bool, float, str]:
        """Who can go now comes first, and then the least recently used."""
        return not self._is_free(resident), resident.last_used, resident.id

    def _is_free(self, resident: Resident) -> bool:
        """Whether it is idle, and either out of use or here for long enough."""
        return resident.leases == 0 and self._now >= self._in_use_until(resident)

    def _in_use_until(self, resident: Resident) -> float:
        """When an idle resident may go, if nobody uses it meanwhile."""
        return min(
            resident.last_used + self._limits.lull,
            resident.since + self._limits.stay,
        )

    def _closing(self, resident: Resident, wish: Wish) -> float:
        """When it is closed for ``wish``, if it is still in the way."""
        return max(wish.since + self._limits.patience, resident.since + self._limits.stay)

    def _why_never(self, wish: Wish, pools: Iterable[str]) -> str:
        """One sentence with the numbers of what is missing."""
        return "; ".join(self._shortage(wish, pool) for pool in pools)

    def _shortage(self, wish: Wish, pool: str) -> str:
        pinned = [
            resident
            for resident in self._residents.values()
            if resident.pinned and _amount(resident.needs, pool)
        ]
        names = " and ".join(repr(resident.id) for resident in pinned)
        if pool == MODELS:
            return (
                f"{wish.id!r} cannot be loaded: at most {self._limits.max_loaded} models may be "
                f"loaded at once (max_loaded), and {names} stay, being pinned"
            )
        beside = ""
        if pinned:
            taken = sum(_amount(resident.needs, pool) for resident in pinned)
            beside = f", of which {_gib(taken)} are kept by {names}, pinned"
        return (
            f"{wish.id!r} needs {_gib(wish.needs[pool])} of {_name(pool)}, but models may take "
            f"{_gib(self._limits.budget[pool])} together{beside}"
        )


def _movable(resident: Resident, waiting_since: float) -> bool:
    """Whether it may go at some time; not before it has served those who waited for it."""
    fixed = resident.pinned or resident.leaving or not resident.settled
    return not fixed and waiting_since >= resident.since


def _helps(resident: Resident, missing: Mapping[str, int]) -> bool:
    return any(_amount(resident.needs, pool) > 0 for pool in missing)


def _amount(needs: Mapping[str, int], pool: str) -> int:
    return 1 if pool == MODELS else needs.get(pool, 0)


def _name(pool: str) -> str:
    return pool.replace("gpu", "GPU ")


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB"
