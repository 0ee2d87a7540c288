"""The processes of a worker: its own, and those that its engine has started, which may outlive
it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TRACKER = b"multiprocessing.resource_tracker"
TRACKER_TRIES = 100
RETRY_SECONDS = 0.02
ENDED = frozenset("ZX")
STOPPED = "T"
"""States of processes, of which ``/proc/PID/stat`` has the letters."""
SESSION_FIELD = 3
"""Of ``/proc/PID/stat``, counted behind the name in parentheses."""


async def end_descendants(leader: int) -> None:
    """Kill what is left of a worker, which led a session and has ended, but must not be reaped
    yet, so that nobody else can have its id.

    Python's resource trackers are spared for two seconds: they end by themselves once all others
    have, and remove the shared memory that these have left behind.
    """
    for pid in _descendants(leader):
        if not _is_tracker(pid):
            _kill(pid)
    for _ in range(TRACKER_TRIES):
        if not any(_descendants(leader)):
            break
        await asyncio.sleep(RETRY_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def any_stopped(leader: int) -> bool:
    """Whether SIGSTOP, or its like, has stopped a process of the session of ``leader``."""
    return any(state == STOPPED for _, state in _session(leader))


def _descendants(leader: int) -> Iterator[int]:
    """The processes of the session of ``leader`` that run."""
    return (pid for pid, state in _session(leader) if state not in ENDED)


def _session(leader: int) -> Iterator[tuple[int, str]]:
    """The processes of the session of ``leader`` with their states, as letters; none where there
    is no ``/proc``."""
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            state, *fields = folder.joinpath("stat").read_text().rpartition(")")[2].split()
            if int(fields[SESSION_FIELD - 1]) == leader:
                yield int(folder.name), state


def _is_tracker(pid: int) -> bool:
    with suppress(OSError):
        return TRACKER in PROC.joinpath(str(pid), "cmdline").read_bytes()
    return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
