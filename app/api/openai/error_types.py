"""The body of every response that is no success."""

from pydantic import BaseModel


class ErrorFields(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """The body of every response that is no success."""

    error: ErrorFields
