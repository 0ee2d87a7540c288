"""An OpenAI-compatible server, as a load generator sees it."""

import asyncio
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
from httpx_sse import EventSource, SSEError

from codeserve.app.bench.record import Outcome, Record

CONNECT_SECONDS = 10
ERROR_LENGTH = 200

Reply = TypeVar("Reply")


class EndpointError(Exception):
    """A server that cannot be measured; the message says why in one line."""


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """Where the prompt's tokens came from."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the server counts them."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None


class Choice(msgspec.Struct, frozen=True):
    """A piece of the answer."""

    text: str = ""


class Failure(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    error: Failure | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole completion."""

    usage: Usage


class Model(msgspec.Struct, frozen=True):
    """A model that the server lists."""

    id: str


class Models(msgspec.Struct, frozen=True):
    """GET /v1/models."""

    data: tuple[Model, ...]


class ErrorReply(msgspec.Struct, frozen=True):
    """The body of a refusal."""

    error: Failure


class Completion:
    """One streamed greedy completion; it is sent as soon as the event loop runs."""

    def __init__(
        self, http: httpx.AsyncClient, model: str, prompt: str, max_tokens: int, limit: float
    ) -> None:
        """``limit``: seconds after which it has failed."""
        self._http = http
        self._body = {
            "model": model,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        self._limit = limit
        self._sent = time.perf_counter()
        self._ended: float | None = None
        self._text_times: list[float] = []
        self._texts: list[str] = []
        self._usage: Usage | None = None
        self._error: str | None = None
        self._complete = False
        self._begun = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def begun(self) -> None:
        """Wait for its first text, or its end."""
        await self._begun.wait()

    async def ended(self) -> Record:
        """Wait for its end."""
        await asyncio.wait([self._task])
        return self.record()

    async def cancel(self) -> None:
        """Close the connection if it has not ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def record(self) -> Record:
        """What is known of it now."""
        usage = self._usage
        details = usage.prompt_tokens_details if usage else None
        return Record(
            outcome=self._outcome(),
            sent=self._sent,
            text_times=tuple(self._text_times),
            ended=time.perf_counter() if self._ended is None else self._ended,
            text="".join(self._texts),
            prompt_tokens=usage.prompt_tokens if usage else None,
            cached_tokens=details.cached_tokens if details else None,
            reported_tokens=usage.completion_tokens if usage else None,
            error=self._error,
        )

    def _outcome(self) -> Outcome:
        if self._ended is None:
            return Outcome.RUNNING
        if self._error is not None:
            return Outcome.FAILED
        return Outcome.COMPLETED if self._complete else Outcome.CANCELLED

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await self._receive()
        except TimeoutError:
            self._error = f"no complete answer within {self._limit:g} s"
        except (httpx.HTTPError, SSEError, msgspec.MsgspecError, EndpointError) as error:
            self._error = str(error) or type(error).__name__
        finally:
            self._ended = time.perf_counter()
            self._begun.set()

    async def _receive(self) -> None:
        self._sent = time.perf_counter()
        async with self._http.stream("POST", "/v1/completions", json=self._body) as response:
            if not response.is_success:
                raise EndpointError(_refusal(response, await response.aread()))
            async for event in EventSource(response).aiter_sse():
                if event.data == "[DONE]":
                    self._complete = True
                    return
                self._take(msgspec.json.decode(event.data, type=Chunk))
        raise EndpointError("the answer ended before it was complete")

    def _take(self, chunk: Chunk) -> None:
        if chunk.error is not None:
            raise EndpointError(chunk.error.message)
        self._usage = chunk.usage or self._usage
        if text := "".join(choice.text for choice in chunk.choices):
            self._text_times.append(time.perf_counter())
            self._texts.append(text)
            self._begun.set()


class Endpoint:
    """One model of one server."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        limit: float = 300,
        api_key: str | None = None,
    ) -> None:
        """``model``: None is the first one that the server lists, found on entering; ``limit``:
        seconds that one request may take. Raises EndpointError if ``url`` is none."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model or ""
        self._limit = limit
        try:
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
                timeout=httpx.Timeout(limit, connect=CONNECT_SECONDS),
                # A connection for each request, as from different clients: none waits for
                # another's, and none is lost to a server that closes it when idle.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        except httpx.InvalidURL as error:
            raise EndpointError(f"{url}: {error}") from error

    async def __aenter__(self) -> Self:
        """Raises EndpointError if no server answers or it serves no model."""
        try:
            self.model = self.model or await self._first_model()
        except BaseException:
            await self._http.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    def complete(self, prompt: str, max_tokens: int) -> Completion:
        """Send a completion."""
        return Completion(self._http, self.model, prompt, max_tokens, self._limit)

    async def count_tokens(self, prompt: str) -> int:
        """How many tokens ``prompt`` has; costs a completion of one token. Raises EndpointError."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
        content = await self._ask("POST", "/v1/completions", body)
        return self._decoded(content, Answer).usage.prompt_tokens

    async def _first_model(self) -> str:
        models = self._decoded(await self._ask("GET", "/v1/models"), Models).data
        if not models:
            raise EndpointError(f"{self.url} serves no model")
        return models[0].id

    async def _ask(self, method: str, path: str, body: object = None) -> bytes:
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.ConnectError as error:
            raise EndpointError(f"no server answers at {self.url} ({error})") from None
        except httpx.HTTPError as error:
            raise EndpointError(f"{self.url}: {str(error) or type(error).__name__}") from error
        if not response.is_success:
            raise EndpointError(_refusal(response, response.content))
        return response.content

    def _decoded(self, content: bytes, kind: type[Reply]) -> Reply:
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.MsgspecError as error:
            raise EndpointError(
                f"{self.url} does not answer like an OpenAI-compatible server: {error}"
            ) from error


def _refusal(response: httpx.Response, content: bytes) -> str:
    """What a response that is no success says."""
    try:
        message = msgspec.json.decode(content, type=ErrorReply).error.message
    except msgspec.MsgspecError:
        message = f"{response.url} answers {response.status_code} {response.reason_phrase}"
    return " ".join(message.split())[:ERROR_LENGTH]
