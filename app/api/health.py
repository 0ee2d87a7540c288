"""Whether the server lives, and whether its models can be asked."""

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelStatus

RETRY_AFTER_SECONDS = "1"


class Healthy(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class ModelProgress(BaseModel):
    """How a model is doing."""

    id: str
    state: str
    phase: str
    progress: float | None
    error: str | None


class NotReady(BaseModel):
    """Requests had better wait."""

    status: Literal["not ready"] = "not ready"
    models: list[ModelProgress]


class Startup:
    """The time in which requests had better wait for models that load for the first time. What
    is launched later keeps nobody from the others."""

    def __init__(self) -> None:
        self._over = False

    def is_over(self, models: list[ModelStatus]) -> bool:
        """Whether every model has once been loaded, or has failed, or loads on request."""
        self._over = self._over or not any(map(_is_new, models))
        return self._over


def health_router(manager: ModelManager) -> APIRouter:
    """The probes: ``/livez``, ``/readyz``, ``/health`` and ``/v1/health``."""
    router = APIRouter(tags=["health"])

    async def livez() -> Healthy:
        """The process answers."""
        return Healthy()

    startup = Startup()

    async def readyz(model: str | None = None) -> Response:
        """200 when the models of the start have been loaded and at least one serves, or would
        load on request; with ``model``, when that one does."""
        if model is not None:
            status = manager.status(model)
            return _answer([status], ready=status.state.serves)
        models = manager.models()
        serving = not models or any(model.state.serves for model in models)
        return _answer(models, ready=startup.is_over(models) and serving)

    router.add_api_route("/livez", livez, summary="Is the server alive?")
    for path in ("/readyz", "/health", "/v1/health"):
        router.add_api_route(
            path,
            readyz,
            summary="Can its models be asked?",
            response_model=None,
            responses={
                200: {"model": Healthy, "description": "They can."},
                503: {"model": NotReady, "description": "They cannot, or not yet."},
            },
        )
    return router


def _is_new(status: ModelStatus) -> bool:
    return status.info is None and not status.state.settled


def _answer(models: list[ModelStatus], *, ready: bool) -> Response:
    if ready:
        return JSONResponse(Healthy().model_dump())
    body = NotReady(models=[_progress(status) for status in models])
    return JSONResponse(body.model_dump(), 503, {"retry-after": RETRY_AFTER_SECONDS})


def _progress(status: ModelStatus) -> ModelProgress:
    return ModelProgress(
        id=status.id,
        state=status.state,
        phase=status.phase,
        progress=status.progress,
        error=status.error,
    )
