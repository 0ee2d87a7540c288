"""Watching a launch or restart to its end, which goes on whether anybody watches or not."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import msgspec
import typer

from codeserve.app.cli.client import ServerClient, path_of
from codeserve.app.cli.failure import INTERRUPTED, fail
from codeserve.app.cli.job_display import job_display
from codeserve.app.cli.options import DEFAULT_URL
from codeserve.app.cli.tables import print_json_line
from codeserve.app.manager.jobs import Job, JobState


def follow_job(
    server: ServerClient, answer: Mapping[str, Any], *, as_json: bool
) -> Mapping[str, Any]:
    """Show how the job in the server's ``answer`` goes on until it ends; the model as it is then.

    The command ends with exit code 1, the reason and the worker's last lines if the job fails, and
    with 130 at the second Ctrl-C.
    """
    job = msgspec.convert(answer["job"], Job)
    display = job_display(as_json=as_json)
    with display, _patient(lambda: display.say(_advice(server, job))):
        display.show(job)
        for event in () if job.state.ended else server.follow(f"/v1/jobs/{job.id}/events"):
            job = msgspec.convert(event, Job)
            display.show(job)
    if not job.state.ended:
        fail(f"{server.url} no longer tells how {job.model!r} goes on; see: codeserve ps")
    model = None if job.state is JobState.CANCELLED else server.ask("GET", path_of(job.model))
    if as_json:
        print_json_line({"event": job.state, "job": msgspec.to_builtins(job), "model": model})
    return _succeeded(job, model)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C is how the block is meant to end."""
    with suppress(KeyboardInterrupt):
        yield


def _succeeded(job: Job, model: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The model; the command ends if there is none, or if it could not be loaded."""
    if model is None:
        fail(f"the launch of {job.model!r} was cancelled")
    if job.state is JobState.FAILED:
        fail("\n".join([f"{job.model} failed to load: {job.error}", *model["log_tail"]]))
    return model


@contextmanager
def _patient(say: Callable[[], None]) -> Iterator[None]:
    """Within the block the first Ctrl-C calls ``say``; the second one ends the command."""

    def advise(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        say()

    before = signal.signal(signal.SIGINT, advise)
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _advice(server: ServerClient, job: Job) -> str:
    endpoint = "" if server.url == DEFAULT_URL else f" --endpoint {server.url}"
    return (
        f"The server goes on with {job.model!r} by itself. To end it: codeserve terminate "
        f"--model-uid {job.model}{endpoint}\nCtrl-C again ends this command alone."
    )
