"""Launches: begun, waited for, looked at, cancelled."""

from fastapi import Request

from codeserve.app.api.admin.job_types import JobReply, Launched, LaunchProgress
from codeserve.app.edge.disconnect import until_disconnect
from codeserve.app.launch_request import LaunchRequest, request_field
from codeserve.app.manager.jobs import Job, JobState
from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState
from codeserve.engines.errors import ModelLoadError, ModelUnavailable, ServingError

DOWNLOADING = "downloading"
DOWNLOAD_SHARE = 0.8
"""Of a launch."""
BEFORE_DOWNLOAD = (ModelState.PENDING, ModelState.PULLING)
"""Phases in which nothing is there yet."""


class LaunchHandler:
    """Serves what begins and ends launches. They go on when their clients go away."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def launch(
        self, request: Request, body: LaunchRequest, wait_ready: bool = True
    ) -> Launched:
        """Fetch and load a model; answers when it is ready, or at once with `wait_ready=false`.

        Launching what is there already does nothing, unless it has failed. The launch goes on
        when the client goes away; the model comes back when the server is restarted.
        """
        try:
            job = await self._manager.launch(body.settings(), remember=True)
        except ServingError as error:
            error.param = request_field(error.param)
            raise
        return await self._answer(request, job, wait_ready=wait_ready)

    async def restart(self, request: Request, model_id: str, wait_ready: bool = True) -> Launched:
        """Drain and load a model anew; legal in every state. Waits as a launch does."""
        job = await self._manager.restart(model_id)
        return await self._answer(request, job, wait_ready=wait_ready)

    async def progress(self, model_id: str) -> LaunchProgress:
        """How far the latest launch or restart of a model is."""
        job = self._manager.job_of(model_id)
        return LaunchProgress(progress=_overall(job), job=JobReply.of(job))

    async def cancel(self, model_id: str) -> JobReply:
        """End the launch of a model, of which nothing is left then; one that has ended is
        refused."""
        job = self._manager.job_of(model_id)
        return JobReply.of(await self._manager.cancel(job.id))

    async def _answer(self, request: Request, job: Job, *, wait_ready: bool) -> Launched:
        """Raises ModelLoadError or ModelUnavailable for a launch that has ended without success,
        and ClientDisconnected."""
        if wait_ready:
            job = await until_disconnect(request, self._end_of(job))
            _check(job)
        return Launched(model_uid=job.model, job=JobReply.of(job))

    async def _end_of(self, job: Job) -> Job:
        async for latest in self._manager.watch(job.id):
            job = latest
        return job


def _check(job: Job) -> None:
    if job.state is JobState.FAILED:
        raise ModelLoadError(f"The launch of {job.model!r} has failed: {job.error}")
    if job.state is JobState.CANCELLED:
        raise ModelUnavailable(
            f"The launch of {job.model!r} was cancelled.", code="launch_cancelled"
        )


def _overall(job: Job) -> float:
    """The share of the whole launch that is done."""
    if job.state is JobState.SUCCEEDED:
        return 1.0
    if job.phase == DOWNLOADING:
        return DOWNLOAD_SHARE * (job.progress or 0.0)
    return 0.0 if job.phase in BEFORE_DOWNLOAD else DOWNLOAD_SHARE
