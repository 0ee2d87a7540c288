"""The items of a conversation, as ``input`` of POST /v1/responses gives them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, PlainValidator

from codeserve.app.api.generation.parts import TextPart, kind_of, read_part, read_text
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.tool import ToolCall
from codeserve.app.edge.validation import wrong_type
from codeserve.engines.errors import InvalidRequest

TEXTS = ("input_text", "output_text")
"""Types of the parts of a text, whoever speaks."""

Id = Annotated[str, Field(min_length=1)]


class MessageItem(Body):
    """What one side has said."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]


class CallItem(Body):
    """A function that the model has called."""

    type: Literal["function_call"]
    call_id: Id
    name: str
    arguments: str


class CallOutputItem(Body):
    """What the function has returned."""

    type: Literal["function_call_output"]
    call_id: Id
    output: str | list[TextPart]


InputItem = MessageItem | CallItem | CallOutputItem

KINDS: Mapping[str, type[InputItem]] = {
    "message": MessageItem,
    "function_call": CallItem,
    "function_call_output": CallOutputItem,
}

TEXT_FIELDS: Mapping[type[InputItem], str] = {MessageItem: "content", CallOutputItem: "output"}


def _conversation(value: Any) -> tuple[Turn, ...]:
    """The turns; a call is part of the assistant's turn that it follows."""
    if isinstance(value, str):
        return (Turn(role="user", text=value),)
    if not isinstance(value, list):
        raise wrong_type("input", "a string or an array of items", value)
    if not value:
        raise InvalidRequest("'input' must hold at least one item.", param="input")
    turns: list[Turn] = []
    for index, item in enumerate(value):
        turn = _turn(_item(item, index))
        if turn.tool_calls and turns and turns[-1].role == "assistant":
            calls = (*turns[-1].tool_calls, *turn.tool_calls)
            turns[-1] = msgspec.structs.replace(turns[-1], tool_calls=calls)
        else:
            turns.append(turn)
    return tuple(turns)


def _item(value: Any, index: int) -> InputItem:
    at = ("input", index)
    kind = kind_of(KINDS, value, at, default="message")
    field = TEXT_FIELDS.get(kind)
    if field is not None:
        value = {**value, field: read_text(TEXTS, value.get(field), (*at, field))}
    return read_part(kind, value, at)


def _turn(item: InputItem) -> Turn:
    match item:
        case MessageItem():
            return Turn(role=item.role, text=str(item.content))
        case CallItem():
            call = ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
            return Turn(role="assistant", tool_calls=(call,))
        case CallOutputItem():
            return Turn(role="tool", text=str(item.output), tool_call_id=item.call_id)


Conversation = Annotated[
    tuple[Turn, ...],
    PlainValidator(_conversation, json_schema_input_type=str | list[InputItem]),
]
"""``input``: a text of the user's, or the conversation so far."""
