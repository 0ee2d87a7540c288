"""The serving process: HTTP server, model manager and signals in one asyncio program."""

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
import uvicorn
import uvloop
from rich.console import Console

from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR
from codeserve.app.cli.listening import url_of
from codeserve.app.cli.progress import loading_display
from codeserve.app.cli.welcome import welcome
from codeserve.app.factory import build_app
from codeserve.app.logs import configure_logs
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.settings import Settings
from codeserve.engines.errors import ServingError
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import SpecError

CLOSING_SECONDS = 10
"""What connections get to close in, once their requests have ended or were given up."""


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again when all is done
    and so spoil the exit code."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Service:
    """A server from its start to its end."""

    def __init__(self, settings: Settings, listener: socket.socket, manager: ModelManager) -> None:
        self._settings = settings
        self._listener = listener
        self._manager = manager
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._http = HttpServer(
            uvicorn.Config(
                build_app(settings, manager),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(settings.server.drain_timeout)
                + CLOSING_SECONDS,
            )
        )

    async def run(self) -> int:
        """Serve until a signal comes or no model could be loaded; the exit code."""
        _on_signals(self._stopping.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._http.serve([self._listener]))
            opening = tasks.create_task(self._open())
            await self._stopping.wait()
            opening.cancel()
            self._http.should_exit = True
            await self._manager.stop()
        return self._exit_code

    async def _open(self) -> None:
        """Load the models and say how to ask them, or why none could be loaded."""
        try:
            for model in self._settings.models:
                await self._manager.launch(model)
        except ServingError as error:
            self._give_up(f"{model.id}: {error.message}", USAGE_ERROR)
            return
        async with loading_display(self._manager, Console(stderr=True)):
            loading = (self._manager.wait_ready(model.id) for model in self._settings.models)
            statuses = await asyncio.gather(*loading)
        ready = [status for status in statuses if status.state is ModelState.READY]
        if ready:
            typer.echo(welcome(url_of(self._listener), ready))
        elif statuses:
            self._give_up("\n".join(map(_failure, statuses)), RUNTIME_ERROR)

    def _give_up(self, reason: str, exit_code: int) -> None:
        typer.echo(f"codeserve: {reason}", err=True)
        self._exit_code = exit_code
        self._stopping.set()


def run_service(settings: Settings, listener: socket.socket) -> int:
    """Serve the models of ``settings`` on ``listener`` until told to stop; the exit code."""
    server = settings.server
    configure_logs(server.log_format, server.log_level, colors=sys.stderr.isatty())
    try:
        catalog = Catalog.load(*([server.families] if server.families else []))
    except SpecError as error:
        typer.echo(f"codeserve: {error}", err=True)
        return USAGE_ERROR

    async def serve() -> int:
        manager = ModelManager(server, LocalLauncher(), catalog)
        return await Service(settings, listener, manager).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _failure(status: ModelStatus) -> str:
    """Why a model failed, after the last lines that its worker wrote."""
    return "\n".join([f"{status.id} failed to load: {status.error}", *status.log_tail])


def _on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first SIGTERM or SIGINT; a second one ends the process at once, and
    its workers with it."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def handle(number: int) -> None:
        if received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        received.append(number)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
