"""A first compilation in a process of its own, which may hang or crash:

    python -m codeserve.engines.structured.trial < GRAMMAR

llguidance's own limits bound neither the depth of its recursion (long chains of rules or
references overflow the stack) nor all of its time.
"""

import resource
import subprocess
import sys
import threading

from codeserve.engines.structured.limits import parser_limits

HARMLESS = 2048
"""Grammars of at most so many characters need no trial."""
SECONDS = 2
"""Of the processor's time."""
MEMORY = 2 * 1024**3
"""Bytes of address space."""
_STACK = 2 * 1024**2
_PATIENCE = 30


def try_out(source: str) -> None:
    """Compile a Lark source for a vocabulary of bytes.

    Raises ValueError, with a message that follows a colon, if that hangs or crashes.
    """
    if len(source) <= HARMLESS:
        return
    command = [sys.executable, "-m", "codeserve.engines.structured.trial"]
    try:
        trial = subprocess.run(
            command, input=source.encode(), capture_output=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        survived = False
    else:
        survived = trial.returncode == 0
    if not survived:
        raise ValueError(
            f"it is nested too deeply, or {SECONDS} s and {MEMORY >> 30} GiB are not "
            "enough to compile it"
        )


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    threading.stack_size(_STACK)
    compilation = threading.Thread(target=_compile, args=(sys.stdin.buffer.read().decode(),))
    compilation.start()
    compilation.join()


def _compile(source: str) -> None:
    from llguidance import LLMatcher, LLTokenizer

    tokens = LLTokenizer("byte")
    LLMatcher(tokens, source, log_level=0, limits=parser_limits()).compute_bitmask()


if __name__ == "__main__":
    _main()
