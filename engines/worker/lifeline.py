"""No worker outlives the process that launched it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from threading import Thread

PR_SET_PDEATHSIG = 1
STDIN = 0


def hold_lifeline(tidy_up: Callable[[], None]) -> None:
    """End this process when its launcher ends, whatever it is doing then, after ``tidy_up``.

    The launcher holds the other end of this process's standard input and never writes: end of
    file means that it is gone, also when it went before this call. That works everywhere, but
    needs the interpreter lock: once there is nothing to tidy up, ``end_with_parent`` needs none.
    """
    Thread(target=_exit_at_end_of_input, args=[tidy_up], name="lifeline", daemon=True).start()


def end_with_parent() -> None:
    """Have the kernel kill this process at once when the thread that started it ends; on Linux
    only (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_end_of_input(tidy_up: Callable[[], None]) -> None:
    while os.read(STDIN, 4096):
        pass
    tidy_up()
    os._exit(1)
