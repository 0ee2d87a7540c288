"""The launches that run, and the last ones that have ended."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence

from msgspec.structs import replace

from codeserve.app.manager.jobs import Job, JobState
from codeserve.app.manager.status import ModelState, ModelStatus
from codeserve.app.manager.transfer import Transfer
from codeserve.engines.errors import NothingStored

HISTORY = 200
"""Jobs that are kept."""
WATCH_SECONDS = 0.2
"""Between two reports to somebody who watches."""

_OUTCOMES: Mapping[ModelState, JobState] = {
    ModelState.READY: JobState.SUCCEEDED,
    ModelState.UNLOADED: JobState.SUCCEEDED,
    ModelState.FAILED: JobState.FAILED,
    ModelState.STOPPED: JobState.CANCELLED,
}


class JobLedger:
    """Turns what models go through into jobs, one at a time for each model.

    Belongs to one event loop.
    """

    def __init__(self, history: int = HISTORY) -> None:
        """``history``: how many jobs are kept; those that run are kept in any case."""
        self._history = history
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, _Running] = {}
        self._news = asyncio.Event()

    def begin(self, model_id: str) -> Job:
        """A new job for a model; one that runs is cancelled by it."""
        if model_id in self._running:
            self._end(model_id, JobState.CANCELLED, None)
        job = Job(id=uuid.uuid4().hex, model=model_id, created=time.time())
        self._running[model_id] = _Running(job.id)
        self._write(job)
        self._forget_oldest()
        return job

    def follow(self, status: ModelStatus) -> None:
        """A model has gone on."""
        running = self._running.get(status.id)
        if running is None:
            return
        if status.bytes_done is not None:
            running.transfer.note(time.monotonic(), status.bytes_done)
        job = replace(
            self._jobs[running.job_id],
            phase=status.phase,
            progress=status.progress,
            bytes_done=status.bytes_done,
            bytes_total=status.bytes_total,
        )
        self._write(job)
        if status.state in _OUTCOMES:
            self._end(status.id, _OUTCOMES[status.state], status.error)

    def all(self) -> Sequence[Job]:
        """Every job that is kept, oldest first."""
        return tuple(map(self._now, self._jobs.values()))

    def get(self, job_id: str) -> Job:
        """The job of that id. Raises NothingStored."""
        if job_id not in self._jobs:
            raise NothingStored(f"There is no job {job_id!r}.")
        return self._now(self._jobs[job_id])

    def of(self, model_id: str) -> Job:
        """The latest job of a model. Raises NothingStored."""
        for job in reversed(self._jobs.values()):
            if job.model == model_id:
                return self._now(job)
        raise NothingStored(f"There is no job of a model {model_id!r}.")

    async def watch(self, job_id: str) -> AsyncIterator[Job]:
        """The job now, after every change, but not more often than a few times a second, and when
        it has ended. Raises NothingStored."""
        seen = None
        while seen is None or not seen.state.ended:
            news, job = self._news, self.get(job_id)
            if job != seen:
                seen = job
                yield job
                await asyncio.sleep(0 if job.state.ended else WATCH_SECONDS)
            else:
                await news.wait()

    def _end(self, model_id: str, state: JobState, error: str | None) -> None:
        job = self._jobs[self._running.pop(model_id).job_id]
        reason = error if state is JobState.FAILED else None
        self._write(replace(job, state=state, error=reason, ended=time.time()))

    def _write(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._news.set()
        self._news = asyncio.Event()

    def _forget_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.state.ended]
        for job_id in ended[: max(0, len(self._jobs) - self._history)]:
            del self._jobs[job_id]

    def _now(self, job: Job) -> Job:
        """With the speed of this moment."""
        running = self._running.get(job.model)
        if running is None or running.job_id != job.id or job.bytes_done is None:
            return job
        now, total = time.monotonic(), job.bytes_total
        return replace(
            job,
            bytes_per_second=running.transfer.speed(now),
            seconds_left=None if total is None else running.transfer.seconds_left(now, total),
        )


class _Running:
    """A job that runs, and the speed of its download."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.transfer = Transfer()
