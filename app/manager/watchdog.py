"""Tells a worker that hangs from one that is busy."""

import math

from codeserve.engines.types import EngineLoad

INTERVAL_SECONDS = 1.0

SILENT_SECONDS = 5.0
"""Without a heartbeat, of which there is one a second: nobody should be sent to the worker."""
STALLED_SECONDS = 15.0
"""Without a step, with work to do; longer than a healthy step takes."""

LoadStage = tuple[str, float]
"""A phase of loading, and how far it is, from 0 to 1."""
START: LoadStage = ("starting", 0.0)
"""Before the engine has reported any."""


class Watchdog:
    """Judges a worker by its heartbeats and its processes, looking at them once per interval.

    It counts its own looks instead of reading a clock, so that time in which this process itself
    was stopped is not held against the worker.
    """

    def __init__(
        self,
        *,
        heartbeat_timeout: float,
        stall_timeout: float,
        load_stall_timeout: float | None = None,
    ) -> None:
        """``heartbeat_timeout``: seconds of silence; ``stall_timeout``: of work without a step;
        ``load_stall_timeout``: of loading without progress, None: any number."""
        self.loading: LoadStage | None = None
        """How far loading is, which makes no steps; None: the worker does not load."""
        self._heartbeat_timeout = heartbeat_timeout
        self._stall_timeout = stall_timeout
        self._load_stall_timeout = load_stall_timeout or math.inf
        self._silent_seconds = min(SILENT_SECONDS, heartbeat_timeout / 2)
        self._stalled_seconds = min(STALLED_SECONDS, stall_timeout / 2)
        shortest = min(heartbeat_timeout, stall_timeout, self._load_stall_timeout)
        self.interval = min(INTERVAL_SECONDS, shortest / 4)
        """Seconds between two looks."""
        self._heartbeats = 0
        self._steps = 0
        self._silent = 0.0
        self._stalled = 0.0
        self._stopped = 0.0
        self._stage: LoadStage | None = None
        self._load_stalled = 0.0

    @property
    def is_wary(self) -> bool:
        """Whether nothing shows that the engine works, so that its processes deserve a look: one
        may be stopped while the others send heartbeats."""
        return self.loading is not None or self._stalled > 0

    @property
    def stalled(self) -> str | None:
        """How long the worker has stood still, long before it must be replaced; None: it has not,
        or only for a moment."""
        if self._silent >= self._silent_seconds:
            return f"no heartbeat for {self._silent:g} s"
        if self._stopped >= self._silent_seconds:
            return f"a process of the engine has been stopped for {self._stopped:g} s"
        if self._stalled >= self._stalled_seconds:
            return f"no step for {self._stalled:g} s with work to do"
        return None

    def look(self, heartbeats: int, load: EngineLoad, *, stopped: bool = False) -> str | None:
        """Compare with the last look; why the worker must be replaced, or None.

        ``stopped``: whether a signal has stopped one of its processes.
        """
        self._silent = self._longer(self._silent, heartbeats == self._heartbeats)
        works = load.running + load.waiting > 0
        self._stalled = self._longer(self._stalled, works and load.steps == self._steps)
        self._stopped = self._longer(self._stopped, stopped)
        unmoved = self.loading is not None and self.loading == self._stage
        self._load_stalled = self._longer(self._load_stalled, unmoved)
        self._heartbeats, self._steps, self._stage = heartbeats, load.steps, self.loading
        return self._verdict(load)

    def _verdict(self, load: EngineLoad) -> str | None:
        if self._silent >= self._heartbeat_timeout:
            return f"the worker hung: no heartbeat for {self._heartbeat_timeout:g} s"
        if self._stopped >= self._heartbeat_timeout:
            return (
                "the engine hung: a signal stopped one of its processes for "
                f"{self._heartbeat_timeout:g} s"
            )
        if self._stalled >= self._stall_timeout:
            return (
                f"the engine hung: no step completed for {self._stall_timeout:g} s with "
                f"{load.running} requests running and {load.waiting} waiting"
            )
        if self._stage is not None and self._load_stalled >= self._load_stall_timeout:
            phase, fraction = self._stage
            return (
                f"loading hung: {phase} stayed at {fraction:.0%} for {self._load_stall_timeout:g} "
                "s, the model's load_stall_timeout"
            )
        return None

    def _longer(self, seconds: float, goes_on: bool) -> float:
        """``seconds`` and another interval of the same, or none."""
        return seconds + self.interval if goes_on else 0.0
