"""What Xinference's clients ask of a cluster before anything else."""

from fastapi import APIRouter
from pydantic import BaseModel


class Authentication(BaseModel):
    """GET /v1/cluster/auth."""

    auth: bool
    """Whether the client is to send its API key, which it keeps to itself otherwise."""


def cluster_router(*, has_keys: bool) -> APIRouter:
    """``/v1/cluster/auth``, which needs no key. ``has_keys``: the other routes do."""
    router = APIRouter(tags=["admin"])

    async def authentication() -> Authentication:
        """Whether API keys are asked for."""
        return Authentication(auth=has_keys)

    router.add_api_route("/v1/cluster/auth", authentication, summary="Are API keys asked for?")
    return router
