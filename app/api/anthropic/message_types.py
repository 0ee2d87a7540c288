"""Replies of POST /v1/messages and the events of its streams."""

from typing import Any, Literal

from pydantic import BaseModel

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextContent(BaseModel):
    """What the model says."""

    type: Literal["text"] = "text"
    text: str


class ToolUse(BaseModel):
    """What the model wants called."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]


ContentBlock = TextContent | ToolUse


class MessageUsage(BaseModel):
    """What the message cost; the whole prompt is the sum of the three numbers of input."""

    input_tokens: int
    """Of the prompt, without what was cached."""
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int
    output_tokens: int


class AssistantMessage(BaseModel):
    """The model's answer."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ContentBlock] = []
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None
    usage: MessageUsage


class TokenCountReply(BaseModel):
    """POST /v1/messages/count_tokens."""

    input_tokens: int


class MessageStart(BaseModel):
    """The message, still empty."""

    type: Literal["message_start"] = "message_start"
    message: AssistantMessage


class BlockStart(BaseModel):
    """A block begins."""

    type: Literal["content_block_start"] = "content_block_start"
    index: int
    content_block: ContentBlock


class TextPieceDelta(BaseModel):
    """More text."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class InputPieceDelta(BaseModel):
    """More of a call's input, as raw JSON."""

    type: Literal["input_json_delta"] = "input_json_delta"
    partial_json: str


class BlockDelta(BaseModel):
    """More of a block."""

    type: Literal["content_block_delta"] = "content_block_delta"
    index: int
    delta: TextPieceDelta | InputPieceDelta


class BlockStop(BaseModel):
    """A block ends."""

    type: Literal["content_block_stop"] = "content_block_stop"
    index: int


class Ending(BaseModel):
    """Why the message ends."""

    stop_reason: StopReason | None
    stop_sequence: str | None


class MessageDelta(BaseModel):
    """How the message ends, and what it cost altogether."""

    type: Literal["message_delta"] = "message_delta"
    delta: Ending
    usage: MessageUsage


class MessageStop(BaseModel):
    """The stream ends."""

    type: Literal["message_stop"] = "message_stop"


BlockEvent = BlockStart | BlockDelta | BlockStop
Event = MessageStart | BlockEvent | MessageDelta | MessageStop
