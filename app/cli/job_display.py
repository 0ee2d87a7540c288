"""How a launch goes on: bars on a terminal, else a line for each phase, or JSON for programs."""

from types import TracebackType
from typing import Self

import msgspec
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from codeserve.app.cli.tables import print_json_line
from codeserve.app.manager.jobs import Job, JobState

LINES_PER_PHASE = 10
"""A line is written each time that such a part of a phase is done."""


class JobDisplay:
    """Shows one job; a context while it runs. This is the plain one: a line now and then."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, job: Job) -> None:
        """Show where the job stands now."""
        part = (job.phase, int((job.progress or 0.0) * LINES_PER_PHASE))
        if part != self._shown and not job.state.ended:
            self._shown = part
            percent = None if job.progress is None else f"{job.progress:.0%}"
            self.say(", ".join(filter(None, (f"{job.model}: {job.phase}", percent, _detail(job)))))

    def say(self, text: str) -> None:
        """Tell the user something meanwhile."""
        typer.echo(text, err=True)


class JobEvents(JobDisplay):
    """Writes an object a line, whenever something has changed."""

    def show(self, job: Job) -> None:
        """Write the job as an event."""
        if not job.state.ended:
            print_json_line({"event": "progress", "job": msgspec.to_builtins(job)})


class JobBars(JobDisplay):
    """Moves a bar for each phase; those that are over stay above it."""

    def __init__(self, console: Console) -> None:
        text = TextColumn("{task.description}", markup=False)
        detail = TextColumn("{task.fields[detail]}", markup=False)
        columns = (SpinnerColumn(finished_text="✓"), text, BarColumn(), TimeElapsedColumn(), detail)
        self._progress = Progress(*columns, console=console)
        self._phase = ""
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """Move the bar of the phase, or begin another one."""
        if job.phase != self._phase or job.state.ended:
            self._end_phase(done=job.state in (JobState.RUNNING, JobState.SUCCEEDED))
        if job.state.ended:
            return
        if self._task is None:
            self._phase = job.phase
            self._task = self._progress.add_task(f"{job.model}: {job.phase}", detail="")
        self._progress.update(
            self._task,
            total=None if job.progress is None else 1.0,
            completed=job.progress or 0.0,
            detail=_detail(job),
        )

    def say(self, text: str) -> None:
        """Write ``text`` above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _end_phase(self, *, done: bool) -> None:
        if self._task is not None and done:
            self._progress.update(self._task, total=1.0, completed=1.0)
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None


def job_display(*, as_json: bool) -> JobDisplay:
    """The display for where this command runs."""
    console = Console(stderr=True)
    if as_json:
        return JobEvents()
    return JobBars(console) if console.is_terminal else JobDisplay()


def _detail(job: Job) -> str:
    """Bytes, speed and the time that is left, as far as they are known."""
    if job.bytes_done is None:
        return ""
    of = "" if job.bytes_total is None else f" of {decimal(job.bytes_total)}"
    parts = [f"{decimal(job.bytes_done)}{of}"]
    if job.bytes_per_second is not None:
        parts.append(f"{decimal(int(job.bytes_per_second))}/s")
    if job.seconds_left is not None:
        minutes, seconds = divmod(round(job.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
