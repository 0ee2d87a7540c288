"""Whether the server lives, has started, and can be asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus

RETRY_AFTER_SECONDS = "1"

Probe = Callable[..., Awaitable[Response]]


class Healthy(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class ModelProgress(BaseModel):
    """How a model is doing."""

    id: str
    state: str
    phase: str
    progress: float | None
    stalled: str | None
    error: str | None


class NotReady(BaseModel):
    """Requests had better wait, or go elsewhere."""

    status: Literal["starting", "draining", "not ready"]
    state: str | None
    """Of the first of the models that are waited for, like the next two."""
    phase: str | None
    progress: float | None
    """How far the phase is, from 0 to 1, where that is known."""
    models: list[ModelProgress]


def health_router(manager: ModelManager) -> APIRouter:
    """The probes: ``/livez``, ``/startupz``, ``/readyz``, ``/health`` and ``/v1/health``."""
    router = APIRouter(tags=["health"])

    async def livez() -> Healthy:
        """The process answers."""
        return Healthy()

    async def startupz() -> Response:
        """200 for ever, once every model of the start has been loaded, has failed, or waits for
        its first request; what is launched later does not count."""
        if manager.startup.is_over:
            return _healthy()
        return _not_ready("starting", manager.models(), manager.startup.awaited)

    async def readyz(model: str | None = None) -> Response:
        """200 when the start is over and at least one model serves, or would load on request; with
        ``model``, when that one does. 503 while the server is being stopped, and for models whose
        workers stand still. How many requests wait makes no difference."""
        models = manager.models() if model is None else [manager.status(model)]
        if manager.drain.begun:
            return _not_ready("draining", models, models)
        if model is None and not manager.startup.is_over:
            return _not_ready("starting", models, manager.startup.awaited)
        if any(map(_serves, models)) or not (models or model):
            return _healthy()
        return _not_ready("not ready", models, models)

    router.add_api_route("/livez", livez, summary="Is the server alive?")
    _add_probe(router, "/startupz", startupz, "Have its first models been loaded?")
    for path in ("/readyz", "/health", "/v1/health"):
        _add_probe(router, path, readyz, "Can its models be asked?")
    return router


def _add_probe(router: APIRouter, path: str, probe: Probe, question: str) -> None:
    router.add_api_route(
        path,
        probe,
        summary=question,
        response_model=None,
        responses={
            200: {"model": Healthy, "description": "Yes."},
            503: {"model": NotReady, "description": "No, or not yet."},
        },
    )


def _serves(status: ModelStatus) -> bool:
    return status.state.serves and status.stalled is None


def _healthy() -> Response:
    return JSONResponse(Healthy().model_dump())


def _not_ready(
    status: Literal["starting", "draining", "not ready"],
    models: Sequence[ModelStatus],
    awaited: Sequence[ModelStatus],
) -> Response:
    first = awaited[0] if awaited else None
    body = NotReady(
        status=status,
        state=None if first is None else first.state,
        phase=None if first is None else first.phase,
        progress=None if first is None else first.progress,
        models=[_progress(model) for model in models],
    )
    return JSONResponse(body.model_dump(), 503, {"retry-after": RETRY_AFTER_SECONDS})


def _progress(status: ModelStatus) -> ModelProgress:
    return ModelProgress(
        id=status.id,
        state=status.state,
        phase=status.phase,
        progress=status.progress,
        stalled=status.stalled,
        error=status.error,
    )
