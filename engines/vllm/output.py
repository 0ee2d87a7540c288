"""What vLLM's processes write, on its way to this process's standard output and error."""

import os
import re
import sys
from collections import deque
from collections.abc import Callable
from threading import Event, Lock, Thread

KEPT_LINES = 2000
CHUNK_BYTES = 65536
PATIENCE_SECONDS = 5.0
END_LINE = b"\0"
END = END_LINE + b"\n"
"""Written behind the last line that matters."""
_PREFIX = re.compile(
    r"^(\(\w+( pid=\d+)?\) )*((DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:.]+ \[\S+\] ?)?"
)
"""What vLLM puts before a line: its process, level, time and place in the source."""


class Output:
    """Reads along with all that this process and its children write, until ``close``.

    vLLM's children say why they end only there.
    """

    def __init__(self, listen: Callable[[str], None]) -> None:
        """``listen`` is given each line, without vLLM's prefixes; from a thread."""
        self._listen = listen
        self._read_all = Event()
        self._owning = Lock()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._own = {number: os.dup(number) for number in (1, 2)}
        for number in self._own:
            os.dup2(writing, number)
        os.close(writing)
        self._reader = Thread(target=self._read, args=(reading,), name="output", daemon=True)
        self._reader.start()

    def lines(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(self._lines)

    def ignore(self) -> None:
        """Tell the listener nothing more; lines are still kept."""
        self._listen = _nobody

    def close(self) -> None:
        """Give this process its own output back, once all that was written has been read.

        What children still write is passed on. Where something else has taken this process's
        output meanwhile, as test runners do, it stays there.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        if self._reader.is_alive():
            os.write(2, END)
        self._read_all.wait(PATIENCE_SECONDS)
        with self._owning:
            for number, own in self._own.items():
                os.dup2(own, number)

    def _read(self, reading: int) -> None:
        rest = b""
        while chunk := os.read(reading, CHUNK_BYTES):
            os.write(self._own[2], chunk.replace(END, b""))
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                if line == END_LINE:
                    self._read_all.set()
                    continue
                text = _PREFIX.sub("", line.decode(errors="replace").rstrip())
                if text:
                    self._lines.append(text)
                    self._listen(text)
        os.close(reading)
        self._read_all.set()
        with self._owning:
            for own in self._own.values():
                os.close(own)
            self._own.clear()


def _nobody(line: str) -> None:
    """Listens no more."""
