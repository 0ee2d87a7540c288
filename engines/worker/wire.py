"""What the API process and a worker say to each other: msgpack frames after a 4-byte length."""

import asyncio
from typing import Any, Generic, TypeVar

import msgspec

from codeserve.engines import errors
from codeserve.engines.errors import ServingError
from codeserve.engines.types import EngineConfig, EngineInfo, EngineLoad, TextDelta, TextRequest
from codeserve.model_specs.segments import PromptSegments

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024


class WireError(Exception):
    """A frame breaks the protocol."""


class FrameTooLarge(WireError):
    """A frame exceeds the limit; the message gives both sizes."""


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """A ServingError on its way between processes, by the name of its class."""

    kind: str
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: ServingError) -> "ErrorReport":
        """Describe ``error`` by its nearest class in ``codeserve.engines.errors``."""
        kind = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
        return cls(
            kind=kind.__name__,
            message=error.message,
            param=error.param,
            code=error.code,
            retry_after=error.retry_after,
        )

    def restore(self) -> ServingError:
        """The error as it was raised. Raises WireError for a class that does not exist here."""
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, ServingError)):
            raise WireError(f"the worker reports an unknown error, {self.kind}: {self.message}")
        return kind(self.message, param=self.param, code=self.code, retry_after=self.retry_after)


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load this model; the first command, given once."""

    config: EngineConfig


class Generate(msgspec.Struct, frozen=True, tag=True):
    """Answered by Accepted or Refused, then Deltas until one has a finish reason, or Failed."""

    request: TextRequest


class Abort(msgspec.Struct, frozen=True, tag=True):
    """Forget a request and free its slot; nothing more is said of it."""

    id: str


class Tokenize(msgspec.Struct, frozen=True, tag=True):
    """Answered by Tokenized or Refused."""

    id: str
    prompt: PromptSegments


class Detokenize(msgspec.Struct, frozen=True, tag=True):
    """Answered by Detokenized or Refused."""

    id: str
    token_ids: tuple[int, ...]


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """Unload and exit."""


class LoadProgress(msgspec.Struct, frozen=True, tag=True):
    """Loading is in ``phase``, done by ``fraction``."""

    phase: str
    fraction: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The model is loaded and has proved itself."""

    info: EngineInfo


class LoadFailed(msgspec.Struct, frozen=True, tag=True):
    """The model could not be loaded; the worker exits."""

    error: ErrorReport


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The request is queued."""

    id: str
    prompt_tokens: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The request is not served, and why."""

    id: str
    error: ErrorReport


class Tokenized(msgspec.Struct, frozen=True, tag=True):
    """The tokens of a prompt."""

    id: str
    token_ids: tuple[int, ...]
    spellings: tuple[bytes, ...]
    """The bytes of each; of a control token, those of its name."""


class Detokenized(msgspec.Struct, frozen=True, tag=True):
    """The text of tokens, control tokens by their names."""

    id: str
    text: str


class Deltas(msgspec.Struct, frozen=True, tag=True):
    """All that one engine step has added, with the id of each request."""

    deltas: tuple[tuple[str, TextDelta], ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An accepted request ends with an error."""

    id: str
    error: ErrorReport


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """The worker's event loop is alive, and this is how busy its engine is."""

    load: EngineLoad


Command = Load | Generate | Abort | Tokenize | Detokenize | Shutdown
"""What the API process says."""

Answer = Tokenized | Detokenized
"""What a worker answers at once, without its engine."""

Event = (
    LoadProgress | Ready | LoadFailed | Accepted | Refused | Answer | Deltas | Failed | Heartbeat
)
"""What a worker says."""

Message = TypeVar("Message", bound=Command | Event)


def pack(message: Command | Event) -> bytes:
    """The frame of ``message``. Raises FrameTooLarge, and UnicodeEncodeError for text with an
    unpaired surrogate.
    """
    payload = msgspec.msgpack.encode(message)
    _check_size(len(payload))
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameReader(Generic[Message]):
    """The messages of one direction, as they arrive."""

    def __init__(self, stream: asyncio.StreamReader, union: Any) -> None:
        """``union`` is the type of all messages that may come: Command or Event."""
        self._stream = stream
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(union)

    async def read(self) -> Message | None:
        """The next message; None when the peer has closed the connection, even in mid-frame.

        Raises WireError for a frame that is too large or not one of the union.
        """
        try:
            size = int.from_bytes(await self._stream.readexactly(LENGTH_BYTES), "big")
            _check_size(size)
            payload = await self._stream.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(payload)
        except msgspec.MsgspecError as error:
            raise WireError(f"a frame of {size} bytes makes no sense: {error}") from error


def _check_size(size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise FrameTooLarge(f"{size} bytes, more than the {MAX_FRAME_BYTES} that a frame may have")
