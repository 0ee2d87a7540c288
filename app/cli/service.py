"""The serving process: HTTP server, model manager and signals in one asyncio program."""

import asyncio
import gc
import logging
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
from codeserve.app.manager.restoring import restore
from codeserve.app.manager.spawning import HeadStart
from codeserve.app.manager.state_file import StateFile, state_path
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.registrations import load_catalog
from codeserve.app.server_settings import ServerSettings
from codeserve.app.setting_problems import SettingsError
from codeserve.app.settings import Settings
from codeserve.app.tracing.opening import check_tracing
from codeserve.engines.errors import ServingError
from codeserve.model_specs.errors import SpecError

if TYPE_CHECKING:
    from codeserve.app.cli.http import HttpServer

logger = logging.getLogger(__name__)

SIGNALS = 2
"""That end the server in good order: the first waits for requests, the second does not."""


class Service:
    """A server from its start to its end."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        manager: ModelManager,
        state: StateFile | None = None,
        head_start: HeadStart | None = None,
    ) -> None:
        """``state``: what was launched before; ``head_start``: what ``manager`` launches with."""
        self._settings = settings
        self._listener = listener
        self._manager = manager
        self._state = state
        self._head_start = head_start
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._http: HttpServer | None = None

    async def run(self) -> int:
        """Serve until a signal comes or no model could be loaded; the exit code."""
        _on_signals(self._stop)
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(self._open())
            tasks.create_task(self._answer())
            await self._stopping.wait()
            opening.cancel()
            await self._manager.drain.finish()
            await self._manager.stop()
            if self._http is not None:
                self._http.should_exit = True
        return self._exit_code

    def _stop(self) -> None:
        """Take no more work and end what runs in good order; the second time, at once."""
        drain = self._manager.drain
        if self._stopping.is_set():
            drain.cut_short()
            if self._http is not None:
                self._http.force_exit = True
            return
        drain.begin()
        self._stopping.set()
        if drain.in_flight:
            logger.info(
                "stopping; %d requests get %g s to end; stop again to end them at once",
                drain.in_flight,
                drain.seconds,
            )

    async def _answer(self) -> None:
        """Answer HTTP requests; those that come before all is imported wait in the listener."""
        self._http = await asyncio.to_thread(_http_server, self._settings, self._manager)
        gc.freeze()  # What is imported stays to the end: walking it holds requests up.
        if not self._stopping.is_set():
            await self._http.serve([self._listener])

    async def _open(self) -> None:
        """Load the models and say how to ask them, or why none could be loaded."""
        configured = [model.id for model in self._settings.models]
        try:
            with self._manager.startup.launching():
                for model in self._settings.models:
                    await self._manager.launch(model)
                restored = await self._restore(configured)
        except ServingError as error:
            self._give_up(f"{model.id}: {error.message}", USAGE_ERROR)
            return
        async with loading_display(self._manager, Console(stderr=True)):
            statuses = await self._settle(configured, restored)
        if self._head_start is not None:
            self._head_start.end()
        self._greet(statuses)

    async def _restore(self, configured: list[str]) -> list[str]:
        """Launch what was launched before, but for the ``configured`` models; the ids."""
        if self._state is None:
            return []
        return await restore(self._manager, self._state, configured)

    async def _settle(self, configured: list[str], restored: list[str]) -> list[ModelStatus]:
        """Wait for the configured models, and where none of them serves for a restored one that
        does; where those that were waited for stand, and those that serve besides."""
        waiting = [asyncio.create_task(self._manager.wait_ready(name)) for name in restored]
        try:
            loading = (self._manager.wait_ready(model_id) for model_id in configured)
            statuses = {status.id: status for status in await asyncio.gather(*loading)}
            left = set(waiting)
            while left and not any(status.state.serves for status in statuses.values()):
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                statuses |= {task.result().id: task.result() for task in done}
        finally:
            for task in waiting:
                task.cancel()
        others = {status.id: status for status in self._manager.models() if status.state.serves}
        return list((statuses | others | statuses).values())

    def _greet(self, statuses: list[ModelStatus]) -> None:
        """Say what serves, loaded models first, or end a server that was to serve models which
        have all failed."""
        server = self._settings.server
        url = url_of(self._listener, secure=server.certfile is not None)
        serving = [status for status in statuses if status.state.serves]
        failed = [status for status in statuses if status.state is ModelState.FAILED]
        if serving:
            loaded_first = sorted(serving, key=lambda status: status.info is None)
            typer.echo(welcome(url, loaded_first, has_keys=server.keys is not None))
        elif failed and self._settings.models:
            self._give_up("\n".join(map(_failure, failed)), RUNTIME_ERROR)
        else:
            typer.echo(f"codeserve is ready on {url} with no model; see: codeserve launch --help")

    def _give_up(self, reason: str, exit_code: int) -> None:
        typer.echo(f"codeserve: {reason}", err=True)
        self._exit_code = exit_code
        self._manager.drain.begin()
        self._stopping.set()


def run_service(settings: Settings, listener: socket.socket, head_start: HeadStart) -> int:
    """Serve the models of ``settings`` on ``listener`` until told to stop; the exit code.

    ``head_start``: a worker that runs already.
    """
    server = settings.server
    configure_logs(server.log_format, server.log_level, colors=sys.stderr.isatty())
    try:
        catalog = load_catalog(server)
        state = _open_state(server)
        if server.tracing:
            check_tracing()
    except SpecError as error:
        typer.echo(f"codeserve: {error}", err=True)
        return USAGE_ERROR
    except SettingsError as error:
        typer.echo(f"codeserve: {error}", err=True)
        return RUNTIME_ERROR

    async def serve() -> int:
        manager = ModelManager(server, LocalLauncher(head_start), catalog, state=state)
        return await Service(settings, listener, manager, state, head_start).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _http_server(settings: Settings, manager: ModelManager) -> "HttpServer":
    """The HTTP half, imported while the models load, for which nobody needs it."""
    from codeserve.app.cli.http import HttpServer

    return HttpServer(settings, manager)


def _open_state(server: ServerSettings) -> StateFile | None:
    """The server's state file; None where it shall have none, or where the default one cannot be.

    Raises SettingsError.
    """
    path = state_path(server)
    if path is None:
        return None
    try:
        return StateFile.open(path)
    except OSError as error:
        problem = f"{path}: the state cannot be kept here: {error.strerror}"
        if server.state is not None:
            raise SettingsError(problem) from error
    logger.warning("%s. What is launched will not be remembered.", problem)
    return None


def _failure(status: ModelStatus) -> str:
    """Why a model failed, after the last lines that its worker wrote."""
    return "\n".join([f"{status.id} failed to load: {status.error}", *status.log_tail])


def _on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` at the first and at the second SIGTERM or SIGINT; a third one ends the process
    by force, and its workers with it."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def handle(number: int) -> None:
        received.append(number)
        if len(received) > SIGNALS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle, number)
