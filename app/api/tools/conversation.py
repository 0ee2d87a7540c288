"""A conversation with tools in it, as plain turns for a template that knows no tools."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from codeserve.app.api.tools.call_form import written
from codeserve.app.api.tools.tool import ToolCall
from codeserve.engines.errors import InvalidRequest


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one side has said."""

    role: str
    """``system``, ``user``, ``assistant``, or ``tool`` for the result of a call."""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant."""
    tool_call_id: str | None = None
    """Of a tool: the call that it answers. None: it is told by ``name``, or is the first call
    that has no result yet."""
    name: str | None = None
    """Of a tool."""


Message = Mapping[str, str]


def messages(turns: Sequence[Turn], instructions: str, *, param: str) -> list[Message]:
    """``turns`` as messages of system, user and assistant, for a model's template.

    ``instructions`` go to the end of the first system message. Calls are text in the form that
    models write them; results are users' turns that name their call, all that follow one another
    in one. ``param``: the field of the request that an error names. Raises InvalidRequest for a
    result without a call.
    """
    plain = [_plain(turn) for turn in _named(turns, param)]
    merged: list[dict[str, str]] = []
    for turn, message in zip(turns, plain, strict=True):
        if turn.role == "tool" and merged and merged[-1]["role"] == "tool":
            merged[-1]["content"] += f"\n\n{message['content']}"
        elif turn.role == "user" and merged and merged[-1]["role"] == "tool":
            merged[-1] = {
                "role": "user",
                "content": f"{merged[-1]['content']}\n\n{message['content']}",
            }
        else:
            merged.append(dict(message))
    for message in merged:
        message["role"] = "user" if message["role"] == "tool" else message["role"]
    return _instructed(merged, instructions)


def _instructed(said: list[dict[str, str]], instructions: str) -> list[Message]:
    if not instructions:
        return list(said)
    for message in said:
        if message["role"] in ("system", "developer"):
            message["content"] = f"{message['content']}\n\n{instructions}".lstrip()
            return list(said)
    return [{"role": "system", "content": instructions}, *said]


def _plain(turn: Turn) -> Message:
    text = turn.text
    if turn.role == "tool":
        text = f"Result of {turn.name}:\n{text}"
    elif turn.tool_calls:
        text = f"{text}\n{written(turn.tool_calls)}".lstrip("\n")
    return {"role": turn.role, "content": text}


def _named(turns: Sequence[Turn], param: str) -> Iterator[Turn]:
    """``turns``, where each result bears the name of its call."""
    calls: dict[str, ToolCall] = {}
    unanswered: list[ToolCall] = []
    for turn in turns:
        calls |= {call.id: call for call in turn.tool_calls}
        unanswered += turn.tool_calls
        if turn.role != "tool":
            yield turn
            continue
        call = _call_of(turn, calls, unanswered, param)
        if call in unanswered:
            unanswered.remove(call)
        yield msgspec.structs.replace(turn, name=call.name)


def _call_of(
    turn: Turn, calls: Mapping[str, ToolCall], unanswered: Sequence[ToolCall], param: str
) -> ToolCall:
    if turn.tool_call_id is not None:
        found = calls.get(turn.tool_call_id)
        what = f"for call {turn.tool_call_id!r}"
    elif turn.name is not None:
        found = next((call for call in unanswered if call.name == turn.name), None)
        what = f"of {turn.name!r}"
    else:
        found = next(iter(unanswered), None)
        what = "without an id"
    if found is None:
        raise InvalidRequest(
            f"There is a tool's result {what}, but no assistant's turn before it makes that call.",
            param=param,
            code="invalid_value",
        )
    return found
