"""No worker outlives the process that launched it."""

import ctypes
import os
import signal
import sys
from threading import Thread

PR_SET_PDEATHSIG = 1
STDIN = 0


def hold_lifeline() -> None:
    """End this process at once when its launcher ends, whatever it is doing then.

    The launcher holds the other end of this process's standard input and never writes: end of
    file means that it is gone, also when it went before this call. That works everywhere, but
    needs the interpreter lock, so on Linux the kernel is asked for SIGKILL as well (prctl(2);
    sent when the launching thread ends).
    """
    end_with_parent()
    Thread(target=_exit_at_end_of_input, name="lifeline", daemon=True).start()


def end_with_parent() -> None:
    """Have this process killed when the thread that started it ends; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit_at_end_of_input() -> None:
    while os.read(STDIN, 4096):
        pass
    os._exit(1)
