"""Metrics for Prometheus and all that read its format."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from codeserve.app.metrics.metrics import Metrics

METRICS_PATH = "/metrics"


def metrics_router(metrics: Metrics) -> APIRouter:
    """``GET /metrics``."""
    router = APIRouter(tags=["metrics"])

    @router.get(
        METRICS_PATH,
        summary="How are the models, the requests and the server doing?",
        response_class=PlainTextResponse,
    )
    async def show() -> Response:
        """In Prometheus' text format."""
        text = await metrics.exposition()
        return Response(text, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    return router
