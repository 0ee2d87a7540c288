"""What llama.cpp has to say."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import llama_cpp

WARNING, ERROR, CONTINUED = 3, 4, 5
"""``enum ggml_log_level``; the numbers in llama_cpp's own comments are out of date."""

NAMES = {WARNING: "WARNING", ERROR: "ERROR"}
"""What stands before a line on stderr."""

HARMLESS = "possible training context overflow"
"""Said when all requests' contexts together exceed what one sequence was trained for."""


class LlamaLog:
    """Receives llama.cpp's log: warnings and errors go to stderr, the rest is dropped.

    llama.cpp has one log per process; it is this one's until ``close``.
    """

    def __init__(self) -> None:
        self.first_error: str | None = None
        """The first error since the last ``clear``: the cause, where later ones are its effects."""
        self._level = 0
        self._lowest = WARNING
        self._callback = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, None)

    def clear(self) -> None:
        """Forget the error."""
        self.first_error = None

    @contextmanager
    def only_errors(self) -> Iterator[None]:
        """Drop warnings meanwhile: of a file whose metadata may yet be repaired."""
        self._lowest = ERROR
        try:
            yield
        finally:
            self._lowest = WARNING

    def close(self) -> None:
        """Give llama.cpp its own log back."""
        llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), None)

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        if level != CONTINUED:
            self._level = level
        message = text.decode(errors="replace")
        if self._level < self._lowest or HARMLESS in message:
            return
        if self._level == ERROR and self.first_error is None:
            self.first_error = message.strip()
        is_new = level in NAMES and not message.isspace()
        sys.stderr.write(f"{NAMES[level]} llama.cpp: {message}" if is_new else message)
