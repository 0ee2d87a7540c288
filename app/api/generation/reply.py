"""How a route writes what was generated."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from fastapi import Response

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.engines.errors import ServingError
from codeserve.engines.types import TextDelta, Usage


class Reply(Protocol):
    """The shape of one response, as a whole or as a stream of frames.

    A stream is ``opening``, the frames of each delta, and ``closing``, or ``failure`` wherever it
    breaks off. One reply serves one request, and may remember what it has written.
    """

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once, as JSON. Raises ServingError for answers that have no such shape."""

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """Frames that come before all text."""

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """What ``delta`` adds to the choice of that ``index``."""

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """The end of a stream that went well."""

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The end of a stream that broke off."""

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """The response that sends ``frames``, each in a write of its own, and stops when the
        client goes away."""
