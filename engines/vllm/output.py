"""What vLLM's processes write, on its way to this process's standard output and error."""

import os
import re
import sys
from collections import deque
from collections.abc import Callable
from threading import Thread

KEPT_LINES = 2000
CHUNK_BYTES = 65536
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

    def close(self) -> None:
        """Give this process its own output back; what children still write is passed on."""
        sys.stdout.flush()
        sys.stderr.flush()
        for number in self._own:
            os.dup2(self._own[number], number)

    def _read(self, reading: int) -> None:
        rest = b""
        while chunk := os.read(reading, CHUNK_BYTES):
            os.write(self._own[2], chunk)
            *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                text = _PREFIX.sub("", line.decode(errors="replace").rstrip())
                if text:
                    self._lines.append(text)
                    self._listen(text)
        os.close(reading)
        for own in self._own.values():
            os.close(own)
