"""The API process's side of the socket: one client per worker, one stream per request."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from codeserve.engines.base import Progress
from codeserve.engines.errors import (
    EngineRestarted,
    InvalidRequest,
    RequestTooLarge,
    ServerError,
    ServingError,
)
from codeserve.engines.types import EngineConfig, EngineInfo, EngineLoad, TextDelta, TextRequest
from codeserve.engines.worker.stream import TextStream
from codeserve.engines.worker.wire import (
    Abort,
    Accepted,
    Command,
    Deltas,
    Detokenize,
    Detokenized,
    ErrorReport,
    Event,
    Failed,
    FrameReader,
    FrameTooLarge,
    Generate,
    Heartbeat,
    Load,
    LoadFailed,
    LoadProgress,
    Ready,
    Refused,
    Shutdown,
    Tokenize,
    Tokenized,
    WireError,
    pack,
)
from codeserve.model_specs.segments import PromptSegments

__all__ = ["TextStream", "WorkerClient"]

CONNECT_RETRY_SECONDS = 0.02
RETRY_AFTER_SECONDS = 2.0


class WorkerClient:
    """Loads one model in a worker and sends it requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.engine_load = EngineLoad(running=0, waiting=0, steps=0)
        """How busy the engine was at the last heartbeat."""
        self.heartbeats = 0
        """Heartbeats received; a watchdog compares two readings."""
        self._writer = writer
        self._progress: Progress | None = None
        self._loaded: asyncio.Future[EngineInfo] | None = None
        self._streams: dict[str, TextStream] = {}
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._question_ids = map(str, count())
        self._ending: ServerError = EngineRestarted(
            "The worker process that served this request ended and is being replaced. Try again.",
            retry_after=RETRY_AFTER_SECONDS,
        )
        self._reader = asyncio.create_task(self._read(FrameReader(reader, Event)))

    @property
    def requests(self) -> int:
        """Requests whose answers have not ended."""
        return len(self._streams)

    @classmethod
    async def connect(cls, address: str) -> "WorkerClient":
        """Connect to the Unix socket ``address`` as soon as a worker listens on it."""
        while True:
            try:
                return cls(*await asyncio.open_unix_connection(address))
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(CONNECT_RETRY_SECONDS)

    async def load(self, config: EngineConfig, progress: Progress) -> EngineInfo:
        """Load the worker's model, once.

        Raises ModelLoadError, and EngineRestarted when the worker goes away meanwhile.
        """
        self._progress = progress
        self._send(Load(config))
        self._loaded = asyncio.get_running_loop().create_future()
        return await self._loaded

    async def generate(self, request: TextRequest) -> TextStream:
        """Send ``request`` and wait until the worker has accepted it.

        Raises ClientError where it is refused, and ServerError when the engine breaks or the
        worker goes away.
        """
        self._request(Generate(request))
        stream = self._streams[request.id] = TextStream(request.id, self._abandon)
        try:
            await stream.accepted()
        except asyncio.CancelledError:
            await stream.aclose()
            raise
        return stream

    async def tokenize(self, prompt: PromptSegments) -> Tokenized:
        """The tokens of ``prompt``. Raises what ``generate`` raises."""
        question = Tokenize(next(self._question_ids), prompt)
        tokens: Tokenized = await self._ask(question)
        return tokens

    async def detokenize(self, token_ids: Sequence[int]) -> str:
        """The text of ``token_ids``. Raises what ``generate`` raises."""
        question = Detokenize(next(self._question_ids), tuple(token_ids))
        answer: Detokenized = await self._ask(question)
        return answer.text

    def shut_down(self, reason: ServerError) -> None:
        """Fail requests in flight with ``reason``, and ask the worker to unload and exit."""
        if not self._reader.done():
            self._ending = reason
            self._end(None)
            self._tell(Shutdown())

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.wait([self._reader])

    async def close(self, reason: ServerError | None = None) -> None:
        """Hang up; requests in flight raise ``reason``, or else EngineRestarted."""
        self._ending = reason or self._ending
        self._reader.cancel()
        await self.wait_closed()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _ask(self, question: Tokenize | Detokenize) -> Any:
        self._request(question)
        answer = self._asked[question.id] = asyncio.get_running_loop().create_future()
        try:
            return await answer
        finally:
            self._asked.pop(question.id, None)

    def _request(self, command: Generate | Tokenize | Detokenize) -> None:
        """Send what a client has written. Raises InvalidRequest where it cannot be sent."""
        try:
            self._send(command)
        except FrameTooLarge as error:
            raise RequestTooLarge(f"The request is too large: {error}.") from error
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                "The text contains half of a surrogate pair, which is not a character. "
                "Send well-formed Unicode."
            ) from error

    @property
    def _is_lost(self) -> bool:
        """Whether nothing can be sent any more; a pipe may break before the end has been read."""
        return self._reader.done() or self._writer.is_closing()

    def _send(self, command: Command) -> None:
        if self._is_lost:
            raise self._lost(None)
        self._writer.write(pack(command))

    def _tell(self, command: Shutdown | Abort) -> None:
        """Send what a lost worker need not know."""
        if not self._is_lost:
            self._send(command)

    def _abandon(self, request_id: str) -> None:
        if self._streams.pop(request_id, None) is not None:
            self._tell(Abort(request_id))

    async def _read(self, events: FrameReader[Event]) -> None:
        cause: Exception = ConnectionResetError("the worker's socket was closed")
        try:
            while event := await events.read():
                self._dispatch(event)
        except WireError as error:
            cause = error
        finally:
            self._writer.close()
            self._end(cause)

    def _dispatch(self, event: Event) -> None:
        match event:
            case Deltas(deltas):
                for request_id, delta in deltas:
                    self._put(request_id, delta)
            case Heartbeat(load):
                self.heartbeats += 1
                self.engine_load = load
            case Accepted(request_id, prompt_tokens):
                self._accept(request_id, prompt_tokens)
            case Refused(request_id, report) | Failed(request_id, report):
                self._fail(request_id, report)
            case Tokenized() | Detokenized():
                if event.id in self._asked:
                    self._asked.pop(event.id).set_result(event)
            case LoadProgress() | Ready() | LoadFailed():
                self._follow_loading(event)

    def _accept(self, request_id: str, prompt_tokens: int) -> None:
        if request_id in self._streams:
            self._streams[request_id].accept(prompt_tokens)

    def _fail(self, request_id: str, report: ErrorReport) -> None:
        if request_id in self._streams:
            self._streams.pop(request_id).fail(report.restore())
        elif request_id in self._asked:
            self._asked.pop(request_id).set_exception(report.restore())

    def _put(self, request_id: str, delta: TextDelta) -> None:
        """Hand ``delta`` to its stream, unless that was abandoned; the last one frees the id."""
        stream = self._streams.get(request_id)
        if stream is None:
            return
        if delta.finish_reason is not None:
            del self._streams[request_id]
        stream.put(delta)

    def _follow_loading(self, event: LoadProgress | Ready | LoadFailed) -> None:
        if isinstance(event, LoadProgress):
            if self._progress is not None:
                self._progress(event.phase, event.fraction)
            return
        if self._loaded is None or self._loaded.done():
            return
        match event:
            case Ready(info):
                self._loaded.set_result(info)
            case LoadFailed(report):
                self._loaded.set_exception(report.restore())

    def _end(self, cause: Exception | None) -> None:
        """Fail everything that waits for the worker."""
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(self._lost(cause))
        while self._asked:
            self._asked.popitem()[1].set_exception(self._lost(cause))
        while self._streams:
            _, stream = self._streams.popitem()
            stream.fail(self._lost(cause))

    def _lost(self, cause: Exception | None) -> ServingError:
        """A fresh error for each of the requests that the worker has taken with it."""
        error = ErrorReport.of(self._ending).restore()
        error.__cause__ = cause
        return error
