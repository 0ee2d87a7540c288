"""What the replies of this dialect have in common."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence

from fastapi import Response
from pydantic import BaseModel

from codeserve.app.api.generation.answer import Answer
from codeserve.app.api.generation.choices import Choices
from codeserve.app.api.generation.json_frames import compact_json
from codeserve.app.api.generation.stopwatch import Stopwatch
from codeserve.app.api.ollama.metrics import Metrics, metrics
from codeserve.app.api.ollama.times import now
from codeserve.app.edge.exchange import Exchange
from codeserve.app.edge.ndjson import NdjsonResponse, line
from codeserve.engines.errors import ServingError
from codeserve.engines.types import FinishReason, TextDelta, Usage


class OllamaReply(ABC):
    """Lines of JSON, of which the last is ``done`` and says what it took; without a stream, that
    one alone with all of the text."""

    def __init__(self, model: str, exchange: Exchange) -> None:
        """``model``: the name that the client has used."""
        self.id = f"ollama-{uuid.uuid4().hex}"
        self._model = model
        self._created_at = now()
        self._exchange = exchange
        self._stopwatch = Stopwatch()
        self._reason = FinishReason.STOP

    @abstractmethod
    def pieces(self, delta: TextDelta) -> Iterable[bytes]:
        """The lines of what ``delta`` adds."""

    @abstractmethod
    def result(self, text: str, reason: FinishReason, metrics: Metrics) -> BaseModel:
        """The last line, or the whole reply, of which ``text`` has not been shown."""

    def whole(self, answers: Sequence[Answer], usage: Usage) -> bytes:
        """Everything at once."""
        answer = answers[0]
        took = metrics(self._exchange.record.started, answer.stopwatch, usage)
        reason = answer.finish_reason or FinishReason.STOP
        return compact_json(self.result(answer.text, reason, took))

    def opening(self, choices: Choices) -> Iterable[bytes]:
        """Replies open with their first text."""
        self._stopwatch = Stopwatch()
        return ()

    def frames(self, choices: Choices, index: int, delta: TextDelta) -> Iterable[bytes]:
        """What ``delta`` adds; its end is the closing's."""
        self._stopwatch.note(delta)
        self._reason = delta.finish_reason or self._reason
        return self.pieces(delta)

    def closing(self, usage: Usage) -> Iterable[bytes]:
        """The line that is ``done``."""
        took = metrics(self._exchange.record.started, self._stopwatch, usage)
        yield line(compact_json(self.result("", self._reason, took)))

    def failure(self, error: ServingError) -> Iterable[bytes]:
        """The error as the last line."""
        yield line(self._exchange.error_frame(error))

    def stream(self, frames: AsyncIterator[bytes], keepalive_seconds: float) -> Response:
        """Newline-delimited JSON; like Ollama, without anything to keep an idle connection
        open."""
        return NdjsonResponse(frames)
