"""When a request must have come how far."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from math import isfinite

from msgspec.structs import asdict

from codeserve.app.manager.admission import Timeouts
from codeserve.engines.errors import DeadlineExceeded, InvalidRequest

HEADERS = {
    "queue": "X-Queue-Timeout",
    "first_token": "X-First-Token-Timeout",
    "request": "X-Request-Timeout",
}
"""By which a client asks for a shorter time than the settings give."""


def timeouts_of(headers: Mapping[str, str], configured: Timeouts) -> Timeouts:
    """What ``headers`` ask for, and else what is ``configured``.

    Raises InvalidRequest for what is no time, and for more than is configured.
    """
    asked = {name: headers[header] for name, header in HEADERS.items() if header in headers}
    if not asked:
        return configured
    most = asdict(configured)
    return Timeouts(**most | {name: _seconds(name, asked[name], most[name]) for name in asked})


def _seconds(name: str, value: str, most: float | None) -> float:
    header = HEADERS[name]
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if seconds <= 0 or not isfinite(seconds):
        raise InvalidRequest(
            f"The header {header} is {value!r}, but must be a number of seconds above 0.",
            param=header,
            code="invalid_value",
        )
    if most is not None and seconds > most:
        raise InvalidRequest(
            f"The header {header} asks for {seconds:g} s, but may only shorten the {most:g} s that "
            f"the server gives ({name}_timeout).",
            param=header,
            code="invalid_value",
        )
    return seconds


class Deadlines:
    """Those of one request that count from its arrival: its first token and its end.

    That of the queue is the engine's, which knows who has a slot.
    """

    def __init__(self, timeouts: Timeouts, arrived: float) -> None:
        """``arrived``: when the request came, on the clock of ``time.perf_counter``."""
        self._arrived = arrived
        self._first_token = timeouts.first_token
        self._request = timeouts.request

    @asynccontextmanager
    async def before_first_token(self) -> AsyncIterator[None]:
        """Raises DeadlineExceeded as soon as what is done within has taken too long."""
        timeout = min(
            (seconds for seconds in (self._first_token, self._request) if seconds is not None),
            default=None,
        )
        if timeout is None:
            yield
            return
        watch = asyncio.timeout(self._left(timeout))
        try:
            async with watch:
                yield
        except TimeoutError as error:
            if not watch.expired():
                raise
            raise self._exceeded(is_first=timeout == self._first_token) from error

    def timers(
        self, has_begun: Callable[[], bool], end: Callable[[DeadlineExceeded], None]
    ) -> Iterator[asyncio.TimerHandle]:
        """Timers that ``end`` the request when it is late, for whoever is done to cancel.

        ``has_begun``: whether the first token has come.
        """

        def end_unless_begun() -> None:
            if not has_begun():
                end(self._exceeded(is_first=True))

        loop = asyncio.get_running_loop()
        if self._first_token is not None:
            yield loop.call_later(self._left(self._first_token), end_unless_begun)
        if self._request is not None:
            late = self._exceeded(is_first=False)
            yield loop.call_later(self._left(self._request), end, late)

    def _left(self, seconds: float) -> float:
        return max(0.0, self._arrived + seconds - time.perf_counter())

    def _exceeded(self, *, is_first: bool) -> DeadlineExceeded:
        if is_first:
            return DeadlineExceeded(
                f"The request got no token within {self._first_token:g} s of its arrival "
                "(first_token_timeout).",
                param="first_token_timeout",
            )
        return DeadlineExceeded(
            f"The request did not end within {self._request:g} s of its arrival (request_timeout).",
            param="request_timeout",
        )
