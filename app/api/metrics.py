"""Metrics for Prometheus and all that read its formats."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import PlainTextResponse

from codeserve.app.metrics.metrics import Metrics


def metrics_router(metrics: Metrics) -> APIRouter:
    """``GET /metrics``."""
    router = APIRouter(tags=["metrics"])

    @router.get(
        "/metrics",
        summary="How are the models, the requests and the server doing?",
        response_class=PlainTextResponse,
    )
    async def show(accept: Annotated[str, Header()] = "") -> Response:
        """In Prometheus' text format, or OpenMetrics where the client accepts that."""
        text, content_type = await metrics.exposition(accept)
        return Response(text, headers={"content-type": content_type})

    return router
