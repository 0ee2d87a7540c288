"""What Xinference's clients ask of a cluster before anything else."""

from pydantic import BaseModel


class Authentication(BaseModel):
    """GET /v1/cluster/auth."""

    auth: bool
    """Whether Xinference's log-in, with a user's name and password, is asked for."""


async def authentication() -> Authentication:
    """No: this server knows no users."""
    return Authentication(auth=False)
