"""Request fields by which clients offer tools, now and before OpenAI renamed them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NoReturn

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from codeserve.app.api.openai.base_body import Body
from codeserve.app.api.tools.tool import ChoiceMode, ToolChoice
from codeserve.app.edge.validation import json_type


class FunctionField(Body):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """The JSON schema of its arguments; None: it takes none."""
    strict: bool | None = None


class ToolField(Body):
    """A tool; only functions are supported."""

    type: Literal["function"]
    function: FunctionField


class FunctionName(TypedDict):
    """A function, by its name."""

    name: str


class NamedTool(TypedDict):
    """A tool, by its name."""

    type: Literal["function"]
    function: FunctionName


class AllowedToolsFields(TypedDict):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class AllowedTools(TypedDict):
    """A choice that leaves some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolsFields


def _tool_choice(value: Any) -> ToolChoice | None:
    """Which tools are called."""
    match value:
        case None:
            return None
        case "none" | "auto" | "required":
            return ToolChoice(mode=ChoiceMode(value))
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice.named(name)
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}:
            return _allowed(mode, tools)
    _refuse(
        value,
        "'none', 'auto', 'required', {'type': 'function', 'function': {'name': …}} or "
        "{'type': 'allowed_tools', 'allowed_tools': {'mode': …, 'tools': […]}}",
    )


def _allowed(mode: Any, tools: list[Any]) -> ToolChoice:
    if mode not in ("auto", "required"):
        _refuse(mode, "'auto' or 'required' as the mode of allowed tools")
    return ToolChoice(mode=ChoiceMode(mode), names=frozenset(_names(tools)))


def _names(tools: list[Any]) -> Iterator[str]:
    if not tools:
        _refuse(tools, "at least one allowed tool")
    for tool in tools:
        match tool:
            case {"type": "function", "function": {"name": str(name)}}:
                yield name
            case _:
                _refuse(tool, "allowed tools as {'type': 'function', 'function': {'name': …}}")


def _function_call(value: Any) -> ToolChoice | None:
    """Whether a function is called; the older field, one call at a time."""
    match value:
        case None:
            return None
        case "none" | "auto":
            return ToolChoice(mode=ChoiceMode(value), parallel=False)
        case {"name": str(name)}:
            return ToolChoice.named(name)
    _refuse(value, "'none', 'auto' or {'name': …}")


def _refuse(value: Any, expected: str) -> NoReturn:
    got = repr(value) if isinstance(value, str) else json_type(value)
    raise PydanticCustomError(
        "invalid_value", "expected {expected}, but got {got}.", {"expected": expected, "got": got}
    )


Mode = Literal["none", "auto", "required"]

ToolChoiceField = Annotated[
    ToolChoice | None,
    PlainValidator(_tool_choice, json_schema_input_type=Mode | NamedTool | AllowedTools | None),
]
"""``tool_choice``."""

FunctionCallChoice = Annotated[
    ToolChoice | None,
    PlainValidator(
        _function_call, json_schema_input_type=Literal["none", "auto"] | FunctionName | None
    ),
]
"""``function_call`` of a request."""


class FunctionCallField(Body):
    """A call that the assistant made in an earlier turn."""

    name: str
    arguments: str
    """JSON."""


class ToolCallField(Body):
    """A call that the assistant made in an earlier turn, with the id that its result bears."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallField


class ToolFields(Body):
    """The fields of a request that offer tools."""

    tools: list[ToolField] | None = None
    tool_choice: ToolChoiceField = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionField] | None = None
    """The older form of ``tools``."""
    function_call: FunctionCallChoice = None
    """The older form of ``tool_choice``."""

    @property
    def is_legacy(self) -> bool:
        """Whether the reply calls a function, as replies did before there were tools."""
        return bool(self.functions)
