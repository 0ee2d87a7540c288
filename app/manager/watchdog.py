"""Tells a worker that hangs from one that is busy."""

from codeserve.engines.types import EngineLoad

INTERVAL_SECONDS = 1.0

SILENT_SECONDS = 5.0
"""Without a heartbeat, of which there is one a second: nobody should be sent to the worker."""
STALLED_SECONDS = 15.0
"""Without a step, with work to do; longer than a healthy step takes."""


class Watchdog:
    """Judges a worker by its heartbeats and its processes, looking at them once per interval.

    It counts its own looks instead of reading a clock, so that time in which this process itself
    was stopped is not held against the worker.
    """

    def __init__(self, *, heartbeat_timeout: float, stall_timeout: float) -> None:
        """``heartbeat_timeout``: seconds of silence; ``stall_timeout``: of work without a step."""
        self.is_loading = False
        """Whether the worker is loading, which makes no steps."""
        self._heartbeat_timeout = heartbeat_timeout
        self._stall_timeout = stall_timeout
        self._silent_seconds = min(SILENT_SECONDS, heartbeat_timeout / 2)
        self._stalled_seconds = min(STALLED_SECONDS, stall_timeout / 2)
        self.interval = min(INTERVAL_SECONDS, heartbeat_timeout / 4, stall_timeout / 4)
        """Seconds between two looks."""
        self._heartbeats = 0
        self._steps = 0
        self._silent = 0.0
        self._stalled = 0.0
        self._stopped = 0.0

    @property
    def is_wary(self) -> bool:
        """Whether nothing shows that the engine works, so that its processes deserve a look: one
        may be stopped while the others send heartbeats."""
        return self.is_loading or self._stalled > 0

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
        self._heartbeats, self._steps = heartbeats, load.steps
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
        return None

    def _longer(self, seconds: float, goes_on: bool) -> float:
        """``seconds`` and another interval of the same, or none."""
        return seconds + self.interval if goes_on else 0.0
