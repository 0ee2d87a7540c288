"""The serving process: HTTP server, model manager and signals in one asyncio program."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
import uvloop
from rich.console import Console

from codeserve.app.cli.failure import RUNTIME_ERROR, USAGE_ERROR
from codeserve.app.cli.listening import url_of
from codeserve.app.cli.progress import loading_display
from codeserve.app.cli.welcome import welcome
from codeserve.app.logs import configure_logs
from codeserve.app.manager.launcher import LocalLauncher
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.spawning import HeadStart
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.settings import Settings
from codeserve.engines.errors import ServingError
from codeserve.model_specs.catalog import Catalog
from codeserve.model_specs.errors import SpecError

if TYPE_CHECKING:
    from codeserve.app.cli.http import HttpServer


class Service:
    """A server from its start to its end."""

    def __init__(self, settings: Settings, listener: socket.socket, manager: ModelManager) -> None:
        self._settings = settings
        self._listener = listener
        self._manager = manager
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._http: HttpServer | None = None

    async def run(self) -> int:
        """Serve until a signal comes or no model could be loaded; the exit code."""
        _on_signals(self._stopping.set)
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(self._open())
            tasks.create_task(self._answer())
            await self._stopping.wait()
            opening.cancel()
            if self._http is not None:
                self._http.should_exit = True
            await self._manager.stop()
        return self._exit_code

    async def _answer(self) -> None:
        """Answer HTTP requests; those that come before all is imported wait in the listener."""
        self._http = await asyncio.to_thread(_http_server, self._settings, self._manager)
        if not self._stopping.is_set():
            await self._http.serve([self._listener])

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


def run_service(settings: Settings, listener: socket.socket, head_start: HeadStart) -> int:
    """Serve the models of ``settings`` on ``listener`` until told to stop; the exit code.

    ``head_start``: a worker that runs already.
    """
    server = settings.server
    configure_logs(server.log_format, server.log_level, colors=sys.stderr.isatty())
    try:
        catalog = Catalog.load(*([server.families] if server.families else []))
    except SpecError as error:
        typer.echo(f"codeserve: {error}", err=True)
        return USAGE_ERROR

    async def serve() -> int:
        manager = ModelManager(server, LocalLauncher(head_start), catalog)
        return await Service(settings, listener, manager).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _http_server(settings: Settings, manager: ModelManager) -> "HttpServer":
    """The HTTP half, imported while the models load, for which nobody needs it."""
    from codeserve.app.cli.http import HttpServer

    return HttpServer(settings, manager)


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
