"""How a worker process ended, in a sentence."""

import signal

_MEANINGS = {
    signal.SIGILL: "the engine's native code uses an instruction that this CPU does not have; "
    "rebuild the engine on this machine",
    signal.SIGSEGV: "a memory error in the engine's native code",
    signal.SIGBUS: "a memory error in the engine's native code, or weights that changed on disk",
    signal.SIGFPE: "an arithmetic error in the engine's native code",
    signal.SIGABRT: "the engine's native code gave up; its last words are in the log",
    signal.SIGKILL: "often the system was out of memory",
}


def exit_reason(return_code: int) -> str:
    """Say what ``return_code``, the negative number of a signal or an exit status, means."""
    if return_code >= 0:
        return f"the worker exited with status {return_code}"
    try:
        name = signal.Signals(-return_code)
    except ValueError:
        return f"the worker was killed by signal {-return_code}"
    meaning = _MEANINGS.get(name)
    return f"the worker was killed by {name.name}" + (f": {meaning}" if meaning else "")
