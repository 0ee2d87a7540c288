"""Jobs: listed, shown, watched, cancelled."""

from collections.abc import AsyncIterator

from codeserve.app.api.admin.job_types import JobList, JobReply
from codeserve.app.api.admin.streams import event_stream
from codeserve.app.edge.sse import EventStream
from codeserve.app.manager.jobs import Job
from codeserve.app.manager.manager import ModelManager


class JobsHandler:
    """Serves the jobs that the server remembers."""

    def __init__(self, manager: ModelManager, keepalive_seconds: float) -> None:
        self._manager = manager
        self._keepalive_seconds = keepalive_seconds

    async def list_jobs(self) -> JobList:
        """Launches and restarts, those that run and the latest that have ended; oldest first."""
        return JobList(data=[JobReply.of(job) for job in self._manager.jobs()])

    async def show_job(self, job_id: str) -> JobReply:
        """One job."""
        return JobReply.of(self._manager.job(job_id))

    async def watch_job(self, job_id: str) -> EventStream:
        """The job now, whenever it has changed, and at its end, with which the stream ends."""
        return event_stream(_moments(self._manager.watch(job_id)), self._keepalive_seconds)

    async def cancel_job(self, job_id: str) -> JobReply:
        """End a launch, of which nothing is left then. One that has ended is refused."""
        return JobReply.of(await self._manager.cancel(job_id))


async def _moments(jobs: AsyncIterator[Job]) -> AsyncIterator[dict[str, object]]:
    async for job in jobs:
        yield JobReply.of(job).model_dump(mode="json")
