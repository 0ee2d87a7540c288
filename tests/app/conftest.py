"""A real server on a free port, with fake models that answer from a script."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import structlog
import uvicorn

from codeserve.app.cli.listening import listen, url_of
from codeserve.app.factory import build_app
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.model_settings import ModelSettings
from codeserve.app.server_settings import ServerSettings
from codeserve.app.settings import Settings
from codeserve.model_specs.catalog import Catalog

SCRIPT = "Grüße aus Köln 🙂! "


def fake_model(
    model_id: str,
    *,
    max_concurrency: int = 4,
    context_length: int | None = None,
    **options: Any,
) -> ModelSettings:
    """A model that answers every prompt with ``options["script"]``, a byte per token."""
    return ModelSettings(
        id=model_id,
        path=Path("/dev/null"),
        engine="fake",
        max_concurrency=max_concurrency,
        context_length=context_length,
        options={"script": SCRIPT, **options},
    )


class RunningServer:
    """The whole application with uvicorn and its workers, in a thread of its own."""

    def __init__(self, settings: Settings, *, wait: bool) -> None:
        """``wait``: until every model is ready or has failed."""
        self._settings = settings
        self._wait = wait
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self.manager: ModelManager
        self.url = ""

    def __enter__(self) -> "RunningServer":
        self._thread.start()
        assert self._started.wait(60), "the server did not start"
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def client(self) -> httpx.Client:
        """A client whose addresses are relative to the server."""
        return httpx.Client(base_url=self.url, timeout=30)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        manager = ModelManager(self._settings.server, LocalLauncher(), Catalog.load())
        self.manager = manager
        app = build_app(self._settings, manager)
        http = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        for model in self._settings.models:
            await manager.launch(model)
        with listen("127.0.0.1", 0) as listener:
            self.url = url_of(listener)
            serving = asyncio.create_task(http.serve([listener]))
            for model in self._settings.models if self._wait else ():
                await manager.wait_ready(model.id)
            self._started.set()
            await self._stopping.wait()
            http.should_exit = True
            await asyncio.gather(manager.stop(), serving)


@contextmanager
def running_server(
    *models: ModelSettings, wait: bool = True, **server: Any
) -> Iterator[RunningServer]:
    """A server of ``models`` for one test."""
    settings = Settings(server=ServerSettings(**server), models=models)
    with RunningServer(settings, wait=wait) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """Structured logs go where pytest captures them."""
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """The server that tests share: they leave it as they found it."""
    models = (
        fake_model("fast"),
        fake_model("slow", step_seconds=0.02, max_concurrency=2),
        fake_model("short", context_length=32),
        fake_model("broken", fail_load="a tensor is missing"),
    )
    with running_server(*models, keepalive_seconds=0.2, max_body_bytes=100_000) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of the shared server."""
    with server.client() as client:
        yield client


@pytest.fixture
def sync_client(server: RunningServer) -> Iterator[openai.OpenAI]:
    """The published client of OpenAI, against the shared server, without retries."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(server: RunningServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same, asynchronous."""
    base_url = f"{server.url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def start_server() -> Any:
    """Start a server of its own, to break it: ``with start_server(model, ...) as server``."""
    return running_server


@pytest.fixture(scope="session")
def make_model() -> Any:
    """Make the settings of a fake model."""
    return fake_model


@pytest.fixture
def script() -> str:
    """What the shared server's models answer, again and again."""
    return SCRIPT
