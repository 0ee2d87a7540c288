"""The bytes of several files that arrive at the same time."""

from collections.abc import Callable, Sequence
from threading import Event, Lock

from codeserve.model_specs.hub.listing import RemoteFile


class Stopped(BaseException):
    """Ends a download inside its library, which would try again after an ordinary exception."""


class Tally:
    """Adds up what arrives and tells the sum."""

    def __init__(self, files: Sequence[RemoteFile], tell: Callable[[int, int], None]) -> None:
        """``tell`` is called with bytes done and bytes in total, from any thread."""
        self._received = {file.name: 0 for file in files}
        self._total = sum(file.bytes for file in files)
        self._tell = tell
        self._lock = Lock()
        self._stopped = Event()

    def of(self, name: str) -> Callable[[int], None]:
        """What to call with the bytes of a file that are here so far."""

        def received(count: int) -> None:
            if self._stopped.is_set():
                raise Stopped
            with self._lock:
                self._received[name] = count
                self._tell(sum(self._received.values()), self._total)

        return received

    def received(self, name: str) -> int:
        """Bytes of a file that are here so far."""
        return self._received[name]

    def stop(self) -> None:
        """End the downloads that tell this tally, each when its next bytes come."""
        self._stopped.set()
