"""Tells a worker that hangs from one that is busy."""

from codeserve.engines.types import EngineLoad

INTERVAL_SECONDS = 1.0

SILENT_SECONDS = 5.0
"""Without a heartbeat, of which there is one a second: nobody should be sent to the worker."""
STALLED_SECONDS = 15.0
"""Without a step, with work to do; longer than a healthy step takes."""


class Watchdog:
    """Judges a worker by its heartbeats, looking at them once per interval.

    It counts its own looks instead of reading a clock, so that time in which this process itself
    was stopped is not held against the worker.
    """

    def __init__(self, *, heartbeat_timeout: float, stall_timeout: float) -> None:
        """``heartbeat_timeout``: seconds of silence; ``stall_timeout``: of work without a step."""
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

    @property
    def stalled(self) -> str | None:
        """How long the worker has stood still, long before it must be replaced; None: it has not,
        or only for a moment."""
        if self._silent >= self._silent_seconds:
            return f"no heartbeat for {self._silent:g} s"
        if self._stalled >= self._stalled_seconds:
            return f"no step for {self._stalled:g} s with work to do"
        return None

    def look(self, heartbeats: int, load: EngineLoad) -> str | None:
        """Compare with the last look; why the worker must be replaced, or None."""
        silent = heartbeats == self._heartbeats
        self._silent = self._silent + self.interval if silent else 0.0
        stalled = load.running + load.waiting > 0 and load.steps == self._steps
        self._stalled = self._stalled + self.interval if stalled else 0.0
        self._heartbeats, self._steps = heartbeats, load.steps
        if self._silent >= self._heartbeat_timeout:
            return f"the worker hung: no heartbeat for {self._heartbeat_timeout:g} s"
        if self._stalled >= self._stall_timeout:
            return (
                f"the engine hung: no step completed for {self._stall_timeout:g} s with "
                f"{load.running} requests running and {load.waiting} waiting"
            )
        return None
