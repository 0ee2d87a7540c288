"""A conversation as Anthropic's clients send it: messages of blocks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, PlainValidator

from codeserve.app.api.generation.parts import Location, kind_of, read_part, read_text
from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.tool import ToolCall
from codeserve.app.edge.validation import field_path, wrong_type
from codeserve.engines.errors import InvalidRequest

Id = Annotated[str, Field(min_length=1)]

BETWEEN_TEXTS = "\n\n"
"""Stands between texts that become one."""


class TextBlock(Body):
    """Text."""

    type: Literal["text"]
    text: str


class ThinkingBlock(Body):
    """Thoughts of a model that thinks; they are not shown to another one."""

    type: Literal["thinking", "redacted_thinking"]


class ToolUseBlock(Body):
    """A tool that the model has called."""

    type: Literal["tool_use"]
    id: Id
    name: str
    input: dict[str, Any]


class ToolResultBlock(Body):
    """What the tool has returned."""

    type: Literal["tool_result"]
    tool_use_id: Id
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None


Block = TextBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock


class Speaker(Body):
    """Who says a message."""

    role: Literal["user", "assistant", "system"]


class InputMessage(Speaker):
    """What one side has said."""

    content: str | list[Block]


BLOCKS: Mapping[str, Mapping[str, type[Block]]] = {
    "system": {"text": TextBlock},
    "user": {"text": TextBlock, "tool_result": ToolResultBlock},
    "assistant": {
        "text": TextBlock,
        "tool_use": ToolUseBlock,
        "thinking": ThinkingBlock,
        "redacted_thinking": ThinkingBlock,
    },
}
"""Which blocks each side may send."""


def _conversation(value: Any) -> tuple[Turn, ...]:
    """The turns; what the same side says twice in a row is one turn."""
    if not isinstance(value, list):
        raise wrong_type("messages", "an array", value)
    if not value:
        raise InvalidRequest("'messages' must hold at least one message.", param="messages")
    turns: list[Turn] = []
    for index, message in enumerate(value):
        at = ("messages", index)
        role = read_part(Speaker, message, at).role
        for block in _blocks(role, message.get("content"), (*at, "content")):
            _add(turns, role, block)
    return tuple(turns)


def _blocks(role: str, value: Any, at: Location) -> Iterator[Block]:
    if isinstance(value, str):
        yield TextBlock(type="text", text=value)
        return
    if not isinstance(value, list):
        raise wrong_type(field_path(at), "a string or an array of blocks", value)
    for index, block in enumerate(value):
        place = (*at, index)
        kind = kind_of(BLOCKS[role], block, place)
        if kind is ToolResultBlock:
            content = block.get("content")
            text = "" if content is None else read_text(["text"], content, (*place, "content"))
            block = {**block, "content": text}
        yield read_part(kind, block, place)


def _add(turns: list[Turn], role: str, block: Block) -> None:
    """Add ``block`` to the last turn, if that is of the same side, or as a turn of its own."""
    match block:
        case ThinkingBlock():
            return
        case TextBlock():
            turn = Turn(role=role, text=block.text)
        case ToolUseBlock():
            arguments = json.dumps(block.input, ensure_ascii=False, separators=(",", ":"))
            call = ToolCall(id=block.id, name=block.name, arguments=arguments)
            turn = Turn(role=role, tool_calls=(call,))
        case ToolResultBlock():
            text = f"Error: {block.content}" if block.is_error else str(block.content)
            turn = Turn(role="tool", text=text, tool_call_id=block.tool_use_id)
    if turns and turn.role == turns[-1].role and turn.role != "tool":
        turns[-1] = _joined(turns[-1], turn)
    else:
        turns.append(turn)


def _joined(first: Turn, second: Turn) -> Turn:
    texts = [text for text in (first.text, second.text) if text]
    return msgspec.structs.replace(
        first,
        text=BETWEEN_TEXTS.join(texts),
        tool_calls=(*first.tool_calls, *second.tool_calls),
    )


def _system(value: Any) -> tuple[Turn, ...]:
    """The turn of the system, if it says anything."""
    blocks: Sequence[Block] = () if value is None else [*_blocks("system", value, ("system",))]
    turns: list[Turn] = []
    for block in blocks:
        _add(turns, "system", block)
    return tuple(turn for turn in turns if turn.text)


Conversation = Annotated[
    tuple[Turn, ...],
    PlainValidator(_conversation, json_schema_input_type=list[InputMessage]),
]
"""``messages``."""

SystemPrompt = Annotated[
    tuple[Turn, ...],
    PlainValidator(_system, json_schema_input_type=str | list[TextBlock] | None),
]
"""``system``: a turn of its own ahead of all others, or nothing."""
