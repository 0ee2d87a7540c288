"""The worker's side of the socket: loads one engine, proves it and serves it."""

import asyncio
import logging
from contextlib import aclosing, suppress

from codeserve.engines import registry
from codeserve.engines.base import Engine
from codeserve.engines.errors import (
    EngineFailure,
    ModelLoadError,
    ServingError,
)
from codeserve.engines.text.tokenizer import Tokenizer
from codeserve.engines.types import EngineConfig, EngineLoad, TextRequest
from codeserve.engines.worker.generation import Generation
from codeserve.engines.worker.lifeline import end_with_parent
from codeserve.engines.worker.listener import Listener
from codeserve.engines.worker.outbox import Outbox
from codeserve.engines.worker.wire import (
    Abort,
    Accepted,
    Command,
    Detokenize,
    Detokenized,
    ErrorReport,
    Event,
    Failed,
    FrameReader,
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
)
from codeserve.model_specs import golden
from codeserve.model_specs.segments import Ids

HEARTBEAT_SECONDS = 1.0
FAREWELL_SECONDS = 5.0

logger = logging.getLogger(__name__)


async def serve(listener: Listener) -> int:
    """Wait for one API process and serve it; the exit status."""
    connection = await listener.accept()
    end_with_parent()
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    return await WorkerHost(FrameReader(reader, Command), Outbox(writer)).run()


class WorkerHost:
    """One engine and the requests of one API process.

    It ends with status 0 when told to, or when the API process is gone, and with 1 when the
    engine could not be loaded or broke.
    """

    def __init__(self, commands: FrameReader[Command], outbox: Outbox) -> None:
        self._commands = commands
        self._outbox = outbox
        self._engine: Engine | None = None
        self._loading: asyncio.Task[None] | None = None
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._broken = asyncio.Event()

    async def run(self) -> int:
        """Serve until the end; the exit status."""
        endings = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._broken.wait()),
        ]
        done, _ = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if not self._broken.is_set():
            return 0
        with suppress(TimeoutError):
            await asyncio.wait_for(self._outbox.close(), FAREWELL_SECONDS)
        return 1

    async def _listen(self) -> None:
        """Obey commands until the last."""
        while command := await self._commands.read():
            match command:
                case Load(config):
                    if self._loading is not None:
                        raise WireError("a worker loads one model, once")
                    self._loading = asyncio.create_task(self._load(config))
                case Generate(request):
                    self._begin(request)
                case Tokenize() | Detokenize():
                    self._reply(command)
                case Abort(request_id):
                    if request_id in self._requests:
                        self._requests[request_id].cancel()
                case Shutdown():
                    if self._engine is not None:
                        await self._engine.stop()
                    return

    async def _beat(self) -> None:
        while True:
            load = EngineLoad(running=0, waiting=0, steps=0)
            self._outbox.send(Heartbeat(load if self._engine is None else self._engine.load))
            await self._outbox.room()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _load(self, config: EngineConfig) -> None:
        try:
            engine = await self._prepare(config)
            self._outbox.send(Ready(engine.info))
        except ServingError as error:
            self._give_up_loading(error)
        except Exception as error:
            logger.exception("loading failed")
            self._give_up_loading(ModelLoadError(f"{type(error).__name__}: {error}"))
        else:
            self._engine = engine

    def _give_up_loading(self, error: ServingError) -> None:
        self._outbox.send(LoadFailed(ErrorReport.of(error)))
        self._broken.set()

    async def _prepare(self, config: EngineConfig) -> Engine:
        """A loaded engine whose weights reproduce their golden vectors. Raises ServingError."""
        loop = asyncio.get_running_loop()

        def report(phase: str, fraction: float) -> None:
            loop.call_soon_threadsafe(self._outbox.send, LoadProgress(phase, fraction))

        engine = await asyncio.to_thread(registry.create, config)
        await engine.start(report)
        self._outbox.send(LoadProgress("proving", 0.0))
        variant, tokenizer = engine.info.variant, engine.tokenizer
        failures = await asyncio.to_thread(
            golden.prove, variant, tokenizer.encode, tokenizer.decode
        )
        if failures:
            raise ModelLoadError(
                f"{config.path} does not speak {variant.family} {variant.name}: "
                + " ".join(failures),
                code="golden_vectors_failed",
            )
        return engine

    def _begin(self, request: TextRequest) -> None:
        if self._engine is None or request.id in self._requests:
            raise WireError("a request needs a loaded model and an id of its own")
        task = asyncio.create_task(self._serve(self._engine, request))
        self._requests[request.id] = task
        task.add_done_callback(lambda _: self._requests.pop(request.id))

    def _reply(self, question: Tokenize | Detokenize) -> None:
        if self._engine is None:
            raise WireError("a question needs a loaded model")
        task = asyncio.create_task(self._answer(self._engine.tokenizer, question))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, tokenizer: Tokenizer, question: Tokenize | Detokenize) -> None:
        """Answer what needs no engine."""
        try:
            answer: Event = await asyncio.to_thread(_translate, tokenizer, question)
        except ServingError as error:
            answer = Refused(question.id, ErrorReport.of(error))
        self._outbox.send(answer)

    async def _serve(self, engine: Engine, request: TextRequest) -> None:
        """Answer one request, whatever happens."""
        answer: type[Refused | Failed] = Refused
        try:
            generation = await Generation.start(engine, request)
            self._outbox.send(Accepted(request.id, generation.prompt_tokens))
            answer = Failed
            async with aclosing(generation.deltas()) as deltas:
                async for delta in deltas:
                    self._outbox.add(request.id, delta)
                    await self._outbox.room()
        except EngineFailure as error:
            self._fail_all(error)
        except ServingError as error:
            self._outbox.send(answer(request.id, ErrorReport.of(error)))
        except Exception as error:
            logger.exception("request %s failed", request.id)
            failure = EngineFailure(f"{type(error).__name__}: {error}")
            self._outbox.send(answer(request.id, ErrorReport.of(failure)))

    def _fail_all(self, error: EngineFailure) -> None:
        """The engine has broken: every request fails, and a new worker must take over."""
        for request_id, task in self._requests.items():
            self._outbox.send(Failed(request_id, ErrorReport.of(error)))
            task.cancel()
        self._broken.set()


def _translate(tokenizer: Tokenizer, question: Tokenize | Detokenize) -> Tokenized | Detokenized:
    """Text to ids or ids to text. Raises InvalidRequest."""
    match question:
        case Tokenize(question_id, prompt):
            ids = tokenizer.encode(prompt)
            return Tokenized(question_id, tuple(ids), tuple(map(tokenizer.spelling, ids)))
        case Detokenize(question_id, token_ids):
            ids = tokenizer.encode((Ids(token_ids),))
            pieces = b"".join(map(tokenizer.spelling, ids))
            return Detokenized(question_id, pieces.decode(errors="replace"))
