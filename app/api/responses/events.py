"""The events of a streamed response."""

from pydantic import BaseModel

from codeserve.app.api.responses.response_types import Logprob, OutputItem, OutputText, Response
from codeserve.app.edge.errors import ErrorFields


class Event(BaseModel):
    """What all events have."""

    type: str
    sequence_number: int = 0
    """Counts the events of a stream, from 0."""


class ResponseEvent(Event):
    """Where the whole response stands."""

    response: Response


class ItemEvent(Event):
    """An item begins or ends."""

    output_index: int
    item: OutputItem


class PartEvent(Event):
    """The text of a message begins or ends."""

    item_id: str
    output_index: int
    content_index: int = 0
    part: OutputText


class TextDeltaEvent(Event):
    """More of a message's text."""

    type: str = "response.output_text.delta"
    item_id: str
    output_index: int
    content_index: int = 0
    delta: str
    logprobs: list[Logprob]


class TextDoneEvent(Event):
    """All of a message's text."""

    type: str = "response.output_text.done"
    item_id: str
    output_index: int
    content_index: int = 0
    text: str
    logprobs: list[Logprob]


class ArgumentsDeltaEvent(Event):
    """More of a call's arguments."""

    type: str = "response.function_call_arguments.delta"
    item_id: str
    output_index: int
    delta: str


class ArgumentsDoneEvent(Event):
    """All of a call's arguments."""

    type: str = "response.function_call_arguments.done"
    item_id: str
    output_index: int
    name: str
    arguments: str


class ErrorEvent(Event):
    """What went wrong, as the published schema has it, and again as the published clients of Python
    and Node need it to raise."""

    type: str = "error"
    message: str
    param: str | None
    code: str | None
    error: ErrorFields
