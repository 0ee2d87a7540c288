"""A process that pulls: reads a request, writes messages, ends with its parent.

The hubs' client libraries live in it: killing it ends a download promptly in whatever they are
waiting for, and what they print or crash on stays out of the server.
"""

import os
import sys
import time
import traceback
from threading import Lock, Thread
from typing import BinaryIO

from codeserve.model_specs.errors import PullError
from codeserve.model_specs.hub.client import HubClient
from codeserve.model_specs.hub.huggingface import HuggingFace
from codeserve.model_specs.hub.messages import (
    Failed,
    Message,
    Progressed,
    Request,
    Succeeded,
    decode_request,
    encode,
)
from codeserve.model_specs.hub.modelscope import ModelScope
from codeserve.model_specs.hub.pulling import Puller
from codeserve.model_specs.hub.stored import Stored
from codeserve.model_specs.spec import Hub

PERIOD = 0.1
"""Seconds between two messages about progress."""


class Reporter:
    """Writes messages; those about progress from time to time, by a thread of its own."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = Lock()
        self._progress: Progressed | None = None
        Thread(target=self._report, daemon=True).start()

    def say(self, message: Message) -> None:
        """Write a message, after what there is to say of the progress."""
        with self._lock:
            self._write_progress()
            self._write(message)

    def tell(self, done: int, total: int | None) -> None:
        """Let the progress be written when it is time."""
        self._progress = Progressed(done, total)

    def _report(self) -> None:
        while True:
            time.sleep(PERIOD)
            with self._lock:
                self._write_progress()

    def _write_progress(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            self._write(progress)

    def _write(self, message: Message) -> None:
        self._out.write(encode(message) + b"\n")
        self._out.flush()


def run(request: Request, reporter: Reporter) -> Stored:
    """Do what was asked for. Raises PullError."""
    clients: dict[Hub, HubClient] = {Hub.HUGGINGFACE: HuggingFace(), Hub.MODELSCOPE: ModelScope()}
    puller = Puller(request.folder, clients, reporter.tell)
    return puller.fetch_again(request.sources[0]) if request.again else puller.pull(request.sources)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Serve one request."""
    reporter = Reporter(os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = decode_request(sys.stdin.buffer.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        reporter.say(Succeeded(run(request, reporter)))
    except PullError as error:
        reporter.say(Failed(error.code, str(error)))
    except OSError as error:
        reporter.say(Failed("disk", f"The store cannot be written: {error}."))
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        reporter.say(Failed("hub_error", f"{type(error).__name__}: {error}"))
    os._exit(0)


if __name__ == "__main__":
    main()
