"""What models are doing while they load: bars on a terminal, else a log line for each phase."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus

REFRESH_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Display(Protocol):
    """Somewhere to show how loading goes."""

    def show(self, status: ModelStatus) -> None:
        """Show where one model stands now."""


class Bars:
    """A progress bar for each model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, status: ModelStatus) -> None:
        """Move the model's bar."""
        if status.id not in self._tasks:
            self._tasks[status.id] = self._progress.add_task(status.id, total=None)
        self._progress.update(
            self._tasks[status.id],
            description=f"{status.id}: {status.phase}",
            total=None if status.progress is None else 1.0,
            completed=status.progress or 0.0,
        )


class PhaseLog:
    """A log line whenever a model enters another phase."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}

    def show(self, status: ModelStatus) -> None:
        """Log the model's phase if it is a new one."""
        if self._phases.get(status.id) != status.phase:
            self._phases[status.id] = status.phase
            logger.info("%s: %s", status.id, status.phase)


@asynccontextmanager
async def loading_display(manager: ModelManager, console: Console) -> AsyncIterator[None]:
    """Show how the models of ``manager`` load until the block ends."""
    if not console.is_terminal:
        async with _following(manager, PhaseLog()):
            yield
        return
    text = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), text, BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        async with _following(manager, Bars(progress)):
            yield


@asynccontextmanager
async def _following(manager: ModelManager, display: Display) -> AsyncIterator[None]:
    task = asyncio.create_task(_follow(manager, display))
    try:
        yield
    finally:
        task.cancel()
        for status in manager.models():
            display.show(status)


async def _follow(manager: ModelManager, display: Display) -> None:
    while True:
        for status in manager.models():
            display.show(status)
        await asyncio.sleep(REFRESH_SECONDS)
