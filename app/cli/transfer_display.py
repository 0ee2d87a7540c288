"""How bytes move: a bar on a terminal, else JSON, an event a line."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from codeserve.app.cli.failure import INTERRUPTED, RUNTIME_ERROR, fail
from codeserve.app.cli.tables import print_json_line
from codeserve.app.manager.transfer import Transfer

Progress = Callable[[int, int | None], None]

SECONDS_BETWEEN_EVENTS = 1.0


class TransferDisplay:
    """Shows transfers, one after the other; a context while they run."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json or not sys.stdout.isatty()
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            *(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
            console=Console(stderr=True),
            transient=True,
            disable=self.as_json,
        )
        self._bar = self._bars.add_task("", total=None)
        self._name = ""
        self._transfer = Transfer()
        self._told = 0.0
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar down until something else begins."""
        self._bars.stop()

    def begin(self, name: str) -> None:
        """What follows is about ``name``."""
        self._name, self._transfer = name, Transfer()
        self._told, self._complete = 0.0, False
        self._bars.reset(self._bar, description=name)
        self._bars.start()

    def move(self, done: int, total: int | None) -> None:
        """Show that ``done`` bytes of ``total`` are there; from any thread."""
        if not self.as_json:
            self._bars.update(self._bar, completed=done, total=total)
            return
        now = time.monotonic()
        self._transfer.note(now, done)
        complete = done == total and not self._complete
        if complete or now - self._told >= SECONDS_BETWEEN_EVENTS:
            self._told, self._complete = now, complete
            self._tell(
                "progress",
                bytes_done=done,
                bytes_total=total,
                bytes_per_second=self._transfer.speed(now),
                seconds_left=total and self._transfer.seconds_left(now, total),
            )

    def say(self, event: str, text: str, **details: Any) -> None:
        """Tell what has happened: ``text`` to people, ``details`` or else the text to programs."""
        if self.as_json:
            self._tell(event, **(details or {"message": text}))
        else:
            self.close()
            typer.echo(text)

    @contextmanager
    def interruptible(self, note: str) -> Iterator[Progress]:
        """A block that Ctrl-C ends, and the command with it: ``note`` says what is left.

        Gives what to call with bytes done and bytes in total.
        """
        try:
            yield self.move
        except KeyboardInterrupt:
            self.say("interrupted", note)
            raise typer.Exit(INTERRUPTED) from None

    def fail(self, message: str, code: str) -> NoReturn:
        """End the command; ``code`` says why to programs."""
        self.close()
        if self.as_json:
            self._tell("failed", message=message, code=code)
        fail(message, RUNTIME_ERROR)

    def warn(self, message: str, code: str) -> None:
        """Tell what could not be done, and go on; ``code`` says why to programs."""
        if self.as_json:
            self._tell("failed", message=message, code=code)
        typer.echo(f"codeserve: {message}", err=True)

    def _tell(self, event: str, **details: Any) -> None:
        print_json_line({"event": event, "name": self._name, **details})
