"""A conversation with tools in it, as plain turns for a template that knows no tools."""

from collections import deque
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
    """Of a tool: the call that it answers. None: it is told by ``name``, or by its place among the
    results."""
    name: str | None = None
    """Of a tool."""


Message = Mapping[str, str]


def messages(turns: Sequence[Turn], instructions: str, *, param: str) -> list[Message]:
    """``turns`` as messages of system, user and assistant, for a model's template.

    ``instructions`` go to the end of the first system message. Calls are text in the form that
    models write them. Results are the user's and name their call; those that follow one another,
    and what the user says to them, are one message. ``param``: the field of the request that an
    error names. Raises InvalidRequest for a result without a call.
    """
    said: list[dict[str, str]] = []
    has_results = False
    for turn in _named(turns, param):
        role = "user" if turn.role == "tool" else turn.role
        if has_results and role == "user":
            said[-1]["content"] += f"\n\n{_text(turn)}"
        else:
            said.append({"role": role, "content": _text(turn)})
        has_results = turn.role == "tool"
    return _instructed(said, instructions)


def _instructed(said: list[dict[str, str]], instructions: str) -> list[Message]:
    if not instructions:
        return list(said)
    for message in said:
        if message["role"] in ("system", "developer"):
            gap = "\n\n" if message["content"] else ""
            message["content"] += gap + instructions
            return list(said)
    return [{"role": "system", "content": instructions}, *said]


def _text(turn: Turn) -> str:
    if turn.role == "tool":
        return f"Result of {turn.name}:\n{turn.text}"
    if turn.tool_calls:
        return turn.text + "\n" * bool(turn.text) + written(turn.tool_calls)
    return turn.text


def _named(turns: Sequence[Turn], param: str) -> Iterator[Turn]:
    """``turns``, where each result bears the name of its call."""
    names: dict[str, str] = {}
    called: set[str] = set()
    unanswered: deque[str] = deque()
    for turn in turns:
        if turn.tool_calls:
            names |= {call.id: call.name for call in turn.tool_calls}
            unanswered = deque(call.name for call in turn.tool_calls)
            called.update(unanswered)
        if turn.role != "tool":
            yield turn
            continue
        following = unanswered.popleft() if unanswered else None
        if turn.tool_call_id is not None:
            name, what = names.get(turn.tool_call_id), f"for call {turn.tool_call_id!r}"
        elif turn.name is not None:
            name, what = turn.name if turn.name in called else None, f"of {turn.name!r}"
        else:
            name, what = following, "without an id"
        if name is None:
            raise InvalidRequest(
                f"There is a tool's result {what}, but no assistant's turn before it makes that "
                "call.",
                param=param,
                code="invalid_value",
            )
        yield msgspec.structs.replace(turn, name=name)
