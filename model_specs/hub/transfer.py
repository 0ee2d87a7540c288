"""Pulling in a process of its own, which can be ended at any time."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from threading import Thread
from typing import IO

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.messages import (
    Failed,
    Message,
    Progressed,
    Request,
    Succeeded,
    decode_message,
    encode,
)
from codeserve.model_specs.hub.stored import Stored

COMMAND = (sys.executable, "-P", "-m", "codeserve.model_specs.hub")
DEFAULTS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MODELSCOPE_DOWNLOAD_FILE_LOCK_TIMEOUT_SECONDS": "86400",
    "MODELSCOPE_DOWNLOAD_TIMEOUT": "20",
    "MODELSCOPE_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
}
"""What the client libraries find in their environment unless the user has set it."""
BEAT = 0.25
"""Seconds after which progress is told again where nothing moves, so that it can be cancelled."""
LAST_WORDS = 2000
"""Bytes of what a process that crashed has printed."""


def transfer(request: Request, progress: Callable[[int, int | None], None]) -> Stored:
    """Do what is asked for; an exception that ``progress`` raises ends the process and passes on.

    Raises:
        PullError: as the process says, or because it crashed.
    """
    with (
        TemporaryFile() as said,
        subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**DEFAULTS, **os.environ},
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        messages: SimpleQueue[Message | None] = SimpleQueue()
        reader = Thread(target=_read, args=(process.stdout, messages), daemon=True)
        reader.start()
        try:
            with suppress(BrokenPipeError):
                os.write(process.stdin.fileno(), encode(request) + b"\n")
            stored = _follow(messages, progress)
            if stored is None:
                raise PullError(f"The process that pulls has crashed: {_last_words(said)}")
            return stored
        finally:
            process.kill()
            reader.join()


def _read(out: IO[bytes], messages: "SimpleQueue[Message | None]") -> None:
    for line in out:
        messages.put(decode_message(line))
    messages.put(None)


def _follow(
    messages: "SimpleQueue[Message | None]", progress: Callable[[int, int | None], None]
) -> Stored | None:
    """None: the process has ended without a last message."""
    done, total = 0, None
    while True:
        try:
            message = messages.get(timeout=BEAT)
        except Empty:
            progress(done, total)
            continue
        match message:
            case Progressed():
                done, total = message.done, message.total
                progress(done, total)
            case Succeeded():
                return message.stored
            case Failed():
                raise PullError(message.message, code=message.code)
            case None:
                return None


def _last_words(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - LAST_WORDS))
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing."
