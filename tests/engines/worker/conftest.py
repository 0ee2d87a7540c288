import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from codeserve.app.manager.launcher import LocalLauncher, LocalWorker
from codeserve.engines.types import EngineConfig, EngineInfo, TextRequest
from codeserve.engines.worker.client import WorkerClient
from codeserve.model_specs.segments import Content

DEADLINE_SECONDS = 30.0

Ask = Callable[..., TextRequest]
Connect = Callable[..., Awaitable["Connection"]]


class Connection:
    """A worker process and its client."""

    def __init__(self, worker: LocalWorker, client: WorkerClient, log: list[str]) -> None:
        self.worker = worker
        self.client = client
        self.log = log

    def config(self, **options: object) -> EngineConfig:
        return EngineConfig(engine="fake", path="/nowhere", options=options)

    async def load(self, **options: object) -> EngineInfo:
        return await self.client.load(self.config(**options), lambda phase, fraction: None)


@pytest.fixture
async def launch() -> AsyncIterator[Callable[[], Awaitable[LocalWorker]]]:
    """Starts worker processes, which end with the test."""
    workers = []

    async def start(log: Callable[[str], None] = print) -> LocalWorker:
        workers.append(await LocalLauncher().launch("fake", None, log))
        return workers[-1]

    yield start
    for worker in workers:
        await worker.end(0)


@pytest.fixture
async def connect(
    launch: Callable[..., Awaitable[LocalWorker]],
) -> AsyncIterator[Callable[[], Awaitable[Connection]]]:
    """Starts worker processes and connects to them."""
    clients = []

    async def start() -> Connection:
        log: list[str] = []
        worker = await launch(log.append)
        async with asyncio.timeout(DEADLINE_SECONDS):
            clients.append(await WorkerClient.connect(worker.address))
        return Connection(worker, clients[-1], log)

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
def ask() -> Ask:
    """Makes requests, each with an id of its own."""
    numbers = itertools.count()

    def request(prompt: str = "hello", **fields: Any) -> TextRequest:
        return TextRequest(id=str(next(numbers)), prompt=(Content(prompt),), **fields)

    return request
