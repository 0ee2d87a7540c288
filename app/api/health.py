"""Whether the server lives, and whether its models can be asked."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from codeserve.app.manager.manager import ModelManager
from codeserve.app.manager.status import ModelState, ModelStatus

RETRY_AFTER_SECONDS = "1"


def health_router(manager: ModelManager) -> APIRouter:
    """The probes: ``/livez``, ``/readyz``, ``/health`` and ``/v1/health``."""
    router = APIRouter(tags=["health"])

    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    async def readyz(model: str | None = None) -> JSONResponse:
        """200 when no model loads for the first time and at least one serves; with ``model``,
        when that one serves."""
        if model is not None:
            status = manager.status(model)
            return _answer([status], ready=_is_ready(status))
        models = manager.models()
        serving = not models or any(map(_is_ready, models))
        return _answer(models, ready=serving and not any(map(_is_new, models)))

    router.add_api_route("/livez", livez)
    for path in ("/readyz", "/health", "/v1/health"):
        router.add_api_route(path, readyz)
    return router


def _is_ready(status: ModelStatus) -> bool:
    return status.state is ModelState.READY


def _is_new(status: ModelStatus) -> bool:
    return status.info is None and not status.state.settled


def _answer(models: list[ModelStatus], *, ready: bool) -> JSONResponse:
    if ready:
        return JSONResponse({"status": "ok"})
    body = {"status": "not ready", "models": [_progress(status) for status in models]}
    return JSONResponse(body, 503, {"retry-after": RETRY_AFTER_SECONDS})


def _progress(status: ModelStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        "state": status.state,
        "phase": status.phase,
        "progress": status.progress,
        "error": status.error,
    }
