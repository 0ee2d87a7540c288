"""Tools of OpenAI's chats, in the terms of ``codeserve.app.api.tools``."""

from collections.abc import Sequence

import msgspec

from codeserve.app.api.openai.chat_types import Message
from codeserve.app.api.openai.tool_fields import FunctionField, ToolFields
from codeserve.app.api.tools.conversation import Turn
from codeserve.app.api.tools.tool import ChoiceMode, Tool, ToolCall, ToolChoice
from codeserve.app.api.tools.toolbox import Toolbox
from codeserve.app.edge.validation import wrong_type
from codeserve.engines.errors import InvalidRequest


def toolbox_of(body: ToolFields) -> Toolbox:
    """The tools that ``body`` offers. Raises InvalidRequest for a choice without tools, for one
    of a tool that is not there, and for tools in both forms at once."""
    if body.tools and body.functions:
        raise _refusal("functions", "'functions' is the older form of 'tools'; send one of them.")
    if body.functions:
        return _toolbox(body.functions, body.function_call, "function_call", parallel=False)
    tools = [tool.function for tool in body.tools or ()]
    if not tools and body.function_call is not None:
        return _toolbox([], body.function_call, "function_call", parallel=False)
    return _toolbox(
        tools, body.tool_choice, "tool_choice", parallel=body.parallel_tool_calls is not False
    )


def _toolbox(
    functions: Sequence[FunctionField], choice: ToolChoice | None, field: str, *, parallel: bool
) -> Toolbox:
    choice = choice or ToolChoice()
    if not functions and choice.mode is ChoiceMode.REQUIRED:
        other = "functions" if field == "function_call" else "tools"
        raise _refusal(field, f"'{field}' is only allowed when '{other}' are specified.")
    return Toolbox(
        tuple(map(_tool, functions)),
        msgspec.structs.replace(
            choice,
            names=choice.names if functions else None,
            parallel=choice.parallel and parallel,
        ),
    )


def _tool(function: FunctionField) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
        strict=bool(function.strict),
    )


def turn_of(index: int, message: Message) -> Turn:
    """``messages[index]``. Only the assistant may have said nothing, where it called a tool."""
    if message.content is None and message.role != "assistant":
        raise wrong_type(
            f"messages[{index}].content", "a string or an array of text parts", message.content
        )
    if message.role in ("tool", "function"):
        return _result(index, message)
    calls = [
        ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    ]
    if message.function_call is not None:
        called = message.function_call
        calls.append(ToolCall(id="", name=called.name, arguments=called.arguments))
    return Turn(
        role=message.role,
        text=message.content or message.refusal or "",
        tool_calls=tuple(calls) if message.role == "assistant" else (),
    )


def _result(index: int, message: Message) -> Turn:
    field = "tool_call_id" if message.role == "tool" else "name"
    if getattr(message, field) is None:
        raise InvalidRequest(
            f"Missing required parameter: 'messages[{index}].{field}'.",
            param=f"messages[{index}].{field}",
            code="missing_required_parameter",
        )
    return Turn(
        role="tool",
        text=message.content or "",
        tool_call_id=message.tool_call_id if message.role == "tool" else None,
        name=message.name,
    )


def _refusal(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=param, code="invalid_value")
